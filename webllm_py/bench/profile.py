"""Where the time of a step goes: the GPU time of every kernel, beside the wall time of the whole.

Plain values as ``bench.core`` has them: times in seconds, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import gcd
from statistics import median
from typing import Any, TypeAlias

from webllm_py.bench.bandwidth import seconds_each, seconds_of
from webllm_py.bench.kernel_rows import kernel_rows
from webllm_py.gpu.device import Device, Plan
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.step import Row, consecutive
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.sampling.settings import SamplingSettings

__all__ = ["NO_TIMESTAMPS", "can_profile", "profile_decode", "profile_prefill", "profile_together"]

NO_TIMESTAMPS = (
    "the profile: kernels cannot be timed here, the GPU or the browser offers no timestamp-query"
)
# Chromium rounds times to 0.1 ms unless told otherwise. What is finer than this is not rounded.
COARSE_NANOSECONDS = 10_000
# Long beside the noise of a wait, and beside what times are rounded to; short for a GPU's watchdog.
WALL_SECONDS, REPEATED_SECONDS = 0.1, 0.3
MOST_REPEATS = 256
ANY_TIMES = 1 << 20

Repeated: TypeAlias = Callable[[Callable[[], Awaitable[Any]]], Awaitable[list[Any]]]


@dataclass(frozen=True)
class Step:
    """What is profiled.

    Attributes:
        reset: writes the rows that the plan computes, and that sampling advances.
        most: how often the plan may be replayed after a reset.
        rows: tokens that it computes.
        positions: those whose keys and values it reads.
    """

    device: Device
    plan: Plan
    reset: Callable[[], None]
    most: int
    rows: int
    positions: int


def can_profile(device: Device) -> bool:
    """Whether the device can time its work."""
    return "timestamp-query" in device.info.features


async def profile_decode(
    executor: Executor, prompt: Sequence[int], tokens: int, repeated: Repeated, bandwidth: float
) -> dict[str, Any]:
    """One decode step after a prompt that is in the cache, drawing as the last request did.

    Args:
        tokens: how many the context has room for after the prompt, at least 2.
        repeated: makes a measurement several times and gives the results.
        bandwidth: bytes a second that the device reads at best.
    """
    context = len(prompt)
    sequence = executor.cache.begin([*prompt, 0])  # of the last token nothing is cached
    try:
        await executor.cache.reserve(sequence, context + tokens)
        step = Step(
            executor.device,
            await executor.decoder.step(1, context + tokens),
            partial(executor.write_rows, consecutive(prompt[-1:], context)),
            most=tokens,
            rows=1,
            positions=context + 1,
        )
        found = await profiled(executor, step, repeated, bandwidth)
    finally:
        executor.cache.pages.finish(sequence)
    return {"step": "decode", "context": context, **found}


async def profile_together(
    executor: Executor,
    prompt: Sequence[int],
    answers: int,
    tokens: int,
    repeated: Repeated,
    bandwidth: float,
) -> dict[str, Any]:
    """One decode step of several greedy answers to a prompt that is in the cache; see
    ``profile_decode``."""
    context, cache = len(prompt), executor.cache
    owner = BufferOwner(executor.device)
    sequences = [cache.begin([*prompt, 0])]
    try:
        decoder = Decoder(executor, owner, answers)
        for slot in range(1, answers):
            sequences.append(await cache.fork(sequences[0], slot))
        for slot, sequence in enumerate(sequences):
            decoder.sampler.begin(SamplingSettings(temperature=0), prompt, slot)
            await cache.reserve(sequence, context + tokens, slot)
        rows = [Row(prompt[-1], context, slot) for slot in range(answers)]
        try:
            step = Step(
                executor.device,
                await decoder.step(answers, context + tokens),
                partial(executor.write_rows, rows),
                most=tokens,
                rows=answers,
                positions=context + answers,
            )
            found = await profiled(executor, step, repeated, bandwidth)
        finally:
            executor.plans.drop(decoder)  # before the buffers that they bind
    finally:
        for sequence in sequences:
            cache.pages.finish(sequence)
        owner.free_all()
    return {"step": "together", "answers": answers, "context": context, **found}


async def profile_prefill(
    executor: Executor, prompt: Sequence[int], repeated: Repeated, bandwidth: float
) -> dict[str, Any]:
    """The first chunk of a prompt that is not in the cache; see ``profile_decode``."""
    chunk = list(prompt[: executor.chunk])
    sequence = executor.cache.begin(chunk)
    try:
        await executor.cache.reserve(sequence, len(chunk))
        step = Step(
            executor.device,
            await executor.forward_plan(len(chunk)),
            partial(executor.write_rows, consecutive(chunk, 0)),
            most=ANY_TIMES,
            rows=len(chunk),
            positions=len(chunk),
        )
        found = await profiled(executor, step, repeated, bandwidth)
    finally:
        executor.cache.pages.release(sequence)
    return {"step": "prefill", "tokens": len(chunk), **found}


async def profiled(
    executor: Executor, step: Step, repeated: Repeated, bandwidth: float
) -> dict[str, Any]:
    """Wall time, GPU time, and a row for each kernel, the slowest first; medians of the runs."""
    times = min(step.most // 2, 1 + round(WALL_SECONDS / await wall_seconds(step, 1)))
    wall = median(await repeated(partial(wall_seconds, step, times)))
    repeats = await repeats_for(step, wall)
    runs = await repeated(partial(gpu_seconds, step, repeats))
    rows = kernel_rows(executor, step.plan.dispatches, runs, step.rows, step.positions)
    seconds, nbytes = (sum(row[key] for row in rows) for key in ("gpu_s", "bytes"))
    for row in rows:
        row["bandwidth_share"] = share(row["bytes"], row["gpu_s"] * bandwidth)
        row["gpu_share"] = share(row["gpu_s"], seconds)
    return {
        "wall_s": wall,
        "gpu_s": seconds,
        "dispatches": len(step.plan.dispatches),
        "bytes": nbytes,
        "bandwidth_share": share(nbytes, seconds * bandwidth),
        "runs": len(runs),
        "repeats": repeats,
        "kernels": rows,
    }


def share(part: float, whole: float) -> float:
    """A part of the whole; none of nothing, where a clock is too coarse to see it."""
    return part / whole if whole else 0.0


async def wall_seconds(step: Step, times: int) -> float:
    """How long one step takes when several are queued; the wait for their end is taken out."""
    step.reset()
    once = await seconds_of(step.device, step.plan, times)
    step.reset()
    return seconds_each(once, await seconds_of(step.device, step.plan, 2 * times), times)


async def gpu_seconds(step: Step, repeats: int) -> list[float]:
    """GPU time of each dispatch."""
    step.reset()
    return await step.device.profile(step.plan, repeats)


async def repeats_for(step: Step, wall: float) -> int:
    """1 where times are exact; where they are rounded, as often as makes rounding small.

    A repeated kernel adds to its hidden row, or advances the step, again and again: the times stay
    right, and the numbers are nobody's.
    """
    nanoseconds = [round(1e9 * seconds) for seconds in await gpu_seconds(step, 1)]
    if 0 < gcd(*nanoseconds) < COARSE_NANOSECONDS:
        return 1
    return max(1, min(MOST_REPEATS, round(REPEATED_SECONDS / wall)))
