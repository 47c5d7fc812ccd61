"""Requests of a bench: prompts that are new, answers of a given length, several runs of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from webllm_py.bench.options import BenchOptions

if TYPE_CHECKING:
    from webllm_py.engine import Engine

__all__ = ["Requests"]


class Requests:
    """To one engine.

    Attributes:
        long_seconds: what takes longer, all runs of it together, has fewer runs.
    """

    long_seconds = 30.0

    def __init__(self, engine: Engine, options: BenchOptions):
        self.engine = engine
        self.options = options
        self.executor = engine.loaded.executor
        self._prompts = 0

    async def repeated(self, measure: Callable[[], Awaitable[Any]]) -> list[Any]:
        """Results of the runs after the first."""
        start = time.perf_counter()
        results = [await measure()]
        while len(results) < 2 or (
            len(results) <= self.options.runs and time.perf_counter() - start < self.long_seconds
        ):
            results.append(await measure())
        return results[1:]

    def prompt(self, length: int) -> list[int]:
        """A prompt of token ids that begins as no other one, so that none of it is cached."""
        self._prompts += 1
        vocab = self.executor.model.config.vocab_size
        # Steps of a large prime visit the vocabulary in no particular order.
        return [(self._prompts + i * 7919) % vocab for i in range(length)]

    async def request(self, prompt: list[int], tokens: int, fields: Mapping[str, Any]) -> Any:
        """Stream a completion of exactly ``tokens`` tokens; its usage."""
        stream = await self.engine.completions.create(
            prompt=prompt,
            max_tokens=tokens,
            stream=True,
            stream_options={"include_usage": True},
            **{"ignore_eos": True, **fields},
        )
        usage = None
        async with stream:
            async for piece in stream:
                usage = piece.usage or usage
        return usage

    async def rate(self, prompt: list[int], fields: Mapping[str, Any]) -> float:
        """Tokens a second of one request."""
        usage = await self.request(prompt, self.options.tokens, fields)
        return float(usage.timings.decode_tokens_per_s)
