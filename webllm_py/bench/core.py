"""The measurements of a bench, made through the public API on a loaded engine.

Times are the engine's own (``usage.timings``), medians over runs. No numpy, no files: the same code
runs in CPython and in Pyodide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from webllm_py.bench.bandwidth import measure_bandwidth
from webllm_py.bench.constrained import constrained
from webllm_py.bench.figures import spread, step_bytes
from webllm_py.bench.options import BenchOptions
from webllm_py.bench.profile import (
    NO_TIMESTAMPS,
    can_profile,
    profile_decode,
    profile_prefill,
    profile_together,
)
from webllm_py.bench.requests import Requests
from webllm_py.bench.tuned import gain, tuned_and_default
from webllm_py.models.step import SLOTS

if TYPE_CHECKING:
    from webllm_py.engine import Engine

__all__ = ["run"]

# Guesses would make a rate depend on what a text repeats: they are measured on their own.
GREEDY: Mapping[str, Any] = {"temperature": 0, "prompt_lookup": False}
SAMPLED: Mapping[str, Any] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.95,
    "repetition_penalty": 1.1,
    "seed": 1,
    "prompt_lookup": False,
}
# A token that always wins, so that every guess is right: the most that guessing can give.
REPEATING: Mapping[str, Any] = {"temperature": 0, "logit_bias": {1: 100}}


async def run(
    engine: Engine,
    options: BenchOptions | None = None,
    *,
    load_seconds: float | None = None,
    on_step: Callable[[str], object] = lambda step: None,
) -> dict[str, Any]:
    """Measure an engine.

    Args:
        load_seconds: how long loading took, for the results.
        on_step: told what is measured next.

    Returns:
        Plain values: what ran where, and for each measurement median, min, max and all runs.
        Rates are tokens a second, times seconds, sizes bytes. What did not fit the context, or
        could not be measured, is listed under "skipped".
    """
    options = options or BenchOptions()
    return await Bench(engine, options, on_step).results(load_seconds)


class Bench(Requests):
    """One run of all measurements."""

    def __init__(self, engine: Engine, options: BenchOptions, on_step: Callable[[str], object]):
        super().__init__(engine, options)
        self.on_step = on_step
        self.bandwidth = 0.0
        self.skipped: list[str] = []

    async def results(self, load_seconds: float | None) -> dict[str, Any]:
        """All measurements."""
        self.on_step("memory bandwidth")
        bandwidth = await measure_bandwidth(self.executor.device)
        self.bandwidth = bandwidth["bytes_per_s"]
        # The longest first, so that the KV cache has its size before the others are timed.
        contexts = self.fitting("decoding", self.options.contexts, self.options.tokens)
        decode = [row for n in reversed(contexts) for row in await self.decode(n)]
        lengths = self.fitting("a prompt", self.options.prompt_tokens, 1)
        prefill = [await self.prefill(n) for n in lengths]
        turn = self.fitting("a second turn", [self.options.history], self.options.prompt_tokens[0])
        profile = await self.profile(contexts, lengths) if self.options.profile else []
        return {
            "engine": self.engine.info,
            "options": asdict(self.options),
            "load_s": load_seconds,
            "bandwidth": bandwidth,
            "prefill": prefill,
            "turn": await self.turn(turn[0]) if turn else None,
            "decode": sorted(decode, key=lambda row: row["context"]),
            "faster": [await self.guessed(), await self.together()],
            "constrained": await self.constrained(),
            "tuning": await self.tuning(),
            "profile": profile,
            "skipped": self.skipped,
        }

    def fitting(self, what: str, lengths: Sequence[int], answer: int) -> list[int]:
        """The lengths, in order, that leave room for an answer; the others are noted."""
        limit = self.executor.context_length
        self.skipped += [
            f"{what} at {n:,} tokens: with {answer:,} more, over the context of {limit:,}"
            for n in lengths
            if n + answer > limit
        ]
        return sorted(n for n in lengths if n + answer <= limit)

    async def prefill(self, length: int) -> dict[str, Any]:
        """Prompts of one length, none of them seen before, up to the first token."""
        self.on_step(f"prefill of {length:,} tokens")
        usages = await self.repeated(lambda: self.request(self.prompt(length), 1, GREEDY))
        return {
            "prompt_tokens": length,
            "tokens_per_s": spread([u.timings.prefill_tokens_per_s for u in usages]),
            "first_token_s": spread([u.timings.time_to_first_token_s for u in usages]),
        }

    async def turn(self, history: int) -> dict[str, Any]:
        """A prompt that follows what the KV cache holds, up to the first token."""
        length = self.options.prompt_tokens[0]
        self.on_step(f"{length:,} tokens after {history:,}")
        before = self.prompt(history)
        await self.request(before, 1, GREEDY)
        usages = await self.repeated(
            lambda: self.request([*before, *self.prompt(length)], 1, GREEDY)
        )
        return {
            "history": history,
            "prompt_tokens": length,
            "first_token_s": spread([u.timings.time_to_first_token_s for u in usages]),
        }

    async def guessed(self) -> dict[str, Any]:
        """Tokens of which every one but the first few is guessed from the text so far."""
        self.on_step("decoding what repeats itself")
        return await self.faster("repeating", REPEATING)

    async def together(self) -> dict[str, Any]:
        """Several answers at once; tokens of all of them."""
        n = self.options.together
        self.on_step(f"decoding {n} answers together")
        return await self.faster(f"{n} at once", {**GREEDY, "n": n})

    async def faster(self, name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Tokens after the shortest context, in another way than one at a time."""
        prompt = self.prompt(min(self.options.contexts))
        usages = await self.repeated(partial(self.request, prompt, self.options.tokens, fields))
        rates = spread([u.timings.decode_tokens_per_s for u in usages])
        return {"name": name, "context": len(prompt), "tokens_per_s": rates}

    async def constrained(self) -> dict[str, Any]:
        """Under a JSON schema, beside any text, both sampled."""
        self.on_step("decoding under a JSON schema")
        prompt = self.prompt(min(self.options.contexts))
        rates = await constrained(partial(self.rate, prompt), self.options.runs, self.long_seconds)
        return {
            "context": len(prompt),
            "constrained": spread(rates.under),
            "free": spread(rates.free),
            "first": spread(rates.first),
            "new": spread(rates.new),
            "share": rates.share,
        }

    async def tuning(self) -> dict[str, Any] | None:
        """With the shapes that were tuned for this device, and with the defaults; None if nothing
        was tuned."""
        if not self.executor.tuning.chosen:
            return None
        self.on_step("decoding with the default shapes of kernels")
        prompt = self.prompt(min(self.options.contexts))

        tuned, default = await tuned_and_default(
            self.executor, partial(self.rate, prompt, GREEDY), self.options.runs, self.long_seconds
        )
        return {
            "context": len(prompt),
            "tuned": spread(tuned),
            "default": spread(default),
            "gain": gain(tuned, default),
        }

    async def decode(self, context: int) -> list[dict[str, Any]]:
        """Tokens after a prompt, which is in the KV cache after the first run.

        The host's time of a token (``Device.host_clock``) is that of a whole request over the
        streaming API, less that of one for the first token alone, over the tokens after that: the
        chunks of the answer and the loop that reads them are in it.
        """
        prompt, tokens = self.prompt(context), self.options.tokens
        device = self.executor.device
        await self.request(prompt, 1, GREEDY)
        before = device.n_submits
        await self.request(prompt, 1, GREEDY)
        of_prompt = device.n_submits - before
        step = await self.executor.decoder.step(1, context + tokens)
        bytes_per_token = step_bytes(self.executor, context + tokens / 2)
        rows = []
        for name, fields in (("greedy", GREEDY), ("sampled", SAMPLED)):
            self.on_step(f"decoding, {name}, at {context:,} tokens")
            async with device.host_clock() as clock:
                firsts = await self.repeated(partial(self.worked, clock, prompt, 1, fields))
                before = device.n_submits
                runs = await self.repeated(partial(self.worked, clock, prompt, tokens, fields))
            submits = (device.n_submits - before) / (len(runs) + 1) - of_prompt
            rates = spread([usage.timings.decode_tokens_per_s for usage, _ in runs])
            of_first = median([seconds for _, seconds in firsts])
            rows.append(
                {
                    "context": context,
                    "sampling": name,
                    "tokens_per_s": rates,
                    "dispatches_per_token": len(step.dispatches),
                    "submits_per_token": submits / (tokens - 1),
                    "host_s_per_token": spread([(s - of_first) / (tokens - 1) for _, s in runs]),
                    "bytes_per_token": bytes_per_token,
                    "bandwidth_share": bytes_per_token * rates["median"] / self.bandwidth,
                }
            )
        return rows

    async def worked(
        self,
        clock: Callable[[], float],
        prompt: list[int],
        tokens: int,
        fields: Mapping[str, Any],
    ) -> tuple[Any, float]:
        """A request's usage, and the seconds of Python and JavaScript that it took."""
        before = clock()
        usage = await self.request(prompt, tokens, fields)
        return usage, clock() - before

    async def profile(
        self, contexts: Sequence[int], lengths: Sequence[int]
    ) -> list[dict[str, Any]]:
        """Where the time of a decode step goes, at each context, that of a step of several answers
        at the shortest, and that of a prefill chunk."""
        if not can_profile(self.executor.device):
            self.skipped.append(NO_TIMESTAMPS)
            return []
        found = []
        for context in contexts:
            self.on_step(f"the kernels of a step at {context:,} tokens")
            prompt = await self.cached_prompt(context)
            found.append(
                await profile_decode(
                    self.executor, prompt, self.options.tokens, self.repeated, self.bandwidth
                )
            )
        answers = min(self.options.together, SLOTS)
        if contexts and answers > 1:
            self.on_step(f"the kernels of a step of {answers} answers")
            prompt, tokens = await self.cached_prompt(min(contexts)), self.options.tokens
            found.append(
                await profile_together(
                    self.executor, prompt, answers, tokens, self.repeated, self.bandwidth
                )
            )
        if lengths:
            self.on_step("the kernels of a prefill chunk")
            prompt = self.prompt(max(lengths))
            found.append(
                await profile_prefill(self.executor, prompt, self.repeated, self.bandwidth)
            )
        return found

    async def cached_prompt(self, length: int) -> list[int]:
        """A prompt that is in the KV cache."""
        prompt = self.prompt(length)
        await self.request(prompt, 1, GREEDY)
        return prompt
