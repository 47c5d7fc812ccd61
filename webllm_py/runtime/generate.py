"""From a prompt's tokens to drawn tokens: prefill, then decode with several steps in flight.

The GPU draws a token and feeds it to its own next step, so the host need not see it in between:
steps are submitted ahead, and their tokens read back while later steps run.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from webllm_py.errors import RequestError
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.pages import Sequence as CachedSequence
from webllm_py.runtime.sampler import RING
from webllm_py.runtime.settings import LogitsProcessor, SamplingSettings

__all__ = ["GenerationStats", "generate"]

# Work submitted ahead of what has been read: enough that the GPU never waits, little enough that
# stopping is quick and few tokens past a stop are computed in vain.
AHEAD_SECONDS = 0.03
MOST_AHEAD = 64
# Tokens of one read-back: a reader sees no difference, and a read-back has a price.
MOST_A_READ = 8


@dataclass
class GenerationStats:
    """What one generation did. Times are ``time.perf_counter`` seconds."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated: int = 0
    began: float = field(default_factory=time.perf_counter)
    first_token: float = 0.0
    last_token: float = 0.0

    def drew(self, n: int) -> None:
        """``n`` more tokens arrived."""
        self.generated += n
        self.last_token = time.perf_counter()
        self.first_token = self.first_token or self.last_token


async def generate(
    executor: Executor,
    prompt: Sequence[int],
    settings: SamplingSettings,
    *,
    max_tokens: int,
    stats: GenerationStats,
    most_ahead: int = MOST_AHEAD,
    interrupted: Callable[[], bool] = lambda: False,
) -> AsyncGenerator[list[int], None]:
    """Drawn tokens, in the batches in which they arrive; at most ``max_tokens``.

    The caller stops by closing the generator: steps in flight are waited for, tokens that were
    yielded stay in the cache, later ones are forgotten.

    Args:
        most_ahead: tokens submitted before the first of them is read; 1 waits for each.
        interrupted: asked between chunks of the prompt and batches of tokens; True ends it.
    """
    executor.sampler.begin(settings, prompt)
    sequence = executor.begin(prompt)
    run = Run(executor, sequence, settings, max_tokens, stats, most_ahead)
    try:
        stats.prompt_tokens, stats.cached_tokens = len(prompt), len(sequence.tokens)
        async for _ in executor.prefill(sequence, prompt[len(sequence.tokens) :]):
            if interrupted():
                return
        async for tokens in run.tokens():
            stats.drew(len(tokens))
            # A token has keys and values once the step after it ran: the last one's may be missing.
            sequence.tokens += run.fed(tokens)
            yield tokens
            if interrupted():
                return
    finally:
        try:
            await run.drain()
        finally:
            if executor.device.lost:
                executor.pages.release(sequence)
            else:
                executor.pages.finish(sequence)


class Run:
    """The steps of one generation."""

    def __init__(
        self,
        executor: Executor,
        sequence: CachedSequence,
        settings: SamplingSettings,
        max_tokens: int,
        stats: GenerationStats,
        most_ahead: int,
    ):
        self.executor = executor
        self.device = executor.device
        self.sequence = sequence
        self.settings = settings
        self.max_tokens = max_tokens
        self.stats = stats
        self.most_ahead = min(most_ahead, RING // 2)
        self.in_flight: deque[tuple[int, Awaitable[bytes]]] = deque()
        self.issued = 0
        self.last: list[int] = []

    def fed(self, tokens: list[int]) -> list[int]:
        """Which tokens now have keys and values: all but the newest."""
        known = [*self.last, *tokens]
        self.last = known[-1:]
        return known[:-1]

    def tokens(self) -> AsyncIterator[list[int]]:
        """Batches of drawn tokens, until ``max_tokens``."""
        return self.processed() if self.settings.logits_processors else self.ahead()

    async def ahead(self) -> AsyncIterator[list[int]]:
        """The GPU draws and feeds itself; the host reads behind it."""
        self.device.replay(await self.executor.plan("head"))
        self.device.replay(await self.executor.plan("sample"))
        self.submitted(1)
        seconds_a_token = AHEAD_SECONDS  # until measured, one step at a time
        arrived = 0.0
        while self.in_flight or self.issued < self.max_tokens:
            target = max(1, min(self.most_ahead, int(AHEAD_SECONDS / seconds_a_token)))
            while self.issued < self.max_tokens and self.waiting < target:
                await self.submit(max(1, min(target // 4, MOST_A_READ)))
            tokens = await self.next_read()
            before, arrived = arrived, time.perf_counter()
            if before:
                measured = max((arrived - before) / len(tokens), 1e-5)
                seconds_a_token = (seconds_a_token + measured) / 2
            yield tokens

    @property
    def waiting(self) -> int:
        """Tokens submitted but not read."""
        return sum(count for count, _ in self.in_flight)

    async def submit(self, most: int) -> None:
        """Submit up to ``most`` more steps and the read-back of their tokens."""
        slot = self.issued % RING
        count = min(most, self.max_tokens - self.issued, RING - slot)
        # The drawn token itself takes a position only in the step after.
        length = self.stats.prompt_tokens + self.issued + count
        await self.executor.reserve(self.sequence, length)
        self.device.replay(await self.executor.plan("step"), count)
        self.submitted(count)

    def submitted(self, count: int) -> None:
        """Queue the read-back of the last ``count`` tokens."""
        offset = 4 * (self.issued % RING)
        reading = self.device.read(self.executor.sampler.buffers.ring, offset, 4 * count)
        self.in_flight.append((count, reading))
        self.issued += count

    async def next_read(self) -> list[int]:
        """The oldest tokens in flight, once they are there."""
        _, reading = self.in_flight[0]
        tokens = array("I", await reading)
        self.in_flight.popleft()
        return list(tokens)

    async def processed(self) -> AsyncIterator[list[int]]:
        """Python sees the logits of each step before the GPU draws from them."""
        executor = self.executor
        vocab = executor.model.config.vocab_size
        self.device.replay(await executor.plan("head"))
        while self.issued < self.max_tokens:
            if self.issued:
                await executor.reserve(self.sequence, self.stats.prompt_tokens + self.issued)
                self.device.replay(await executor.plan("logits"))
            logits = float_array(await self.device.read(executor.buffers.logits, 0, 4 * vocab))
            for processor in self.settings.logits_processors:
                logits = checked(processor, processor(logits), vocab)
            self.device.write(executor.buffers.logits, 0, logits)
            self.device.replay(await executor.plan("sample"))
            self.submitted(1)
            yield await self.next_read()

    async def drain(self) -> None:
        """Wait for what is in flight, whatever becomes of it."""
        await asyncio.gather(*(reading for _, reading in self.in_flight), return_exceptions=True)
        self.in_flight.clear()


def float_array(data: bytes) -> Any:
    """A writable float32 array of these bytes: numpy's where it is to be had."""
    try:
        import numpy as np
    except ImportError:
        values = array("f")
        values.frombytes(data)
        return values
    return np.frombuffer(data, np.float32).copy()


def checked(processor: LogitsProcessor, values: Any, vocab: int) -> Any:
    """What a processor returned, as a float32 array.

    Raises:
        RequestError: it is no array, or no list, of so many real numbers.
    """
    found = f"a {type(values).__name__}"
    try:
        if len(values) != vocab:
            found = f"{len(values)} values"
        elif isinstance(values, array) and values.typecode == "f":
            return values
        elif isinstance(values, list | tuple | array):
            return array("f", values)
        elif values.shape == (vocab,) and values.dtype.kind in "fiu":
            return values.astype("float32", order="C", copy=False)
        else:
            found = f"an array of shape {values.shape} and type {values.dtype}"
    except (TypeError, AttributeError, OverflowError):
        pass
    raise RequestError(
        f"the logits processor {getattr(processor, '__name__', processor)!r} returned {found}; it "
        f"must return the {vocab} logits",
        param="logits_processors",
    )
