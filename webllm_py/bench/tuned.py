"""What tuning gained: decoding with the shapes that were found, and with the fixed defaults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from statistics import median

from webllm_py.runtime.executor import Executor

__all__ = ["gain", "tuned_and_default"]


async def tuned_and_default(
    executor: Executor, measure: Callable[[], Awaitable[float]], runs: int
) -> tuple[list[float], list[float]]:
    """So many measurements with each, in turn: what else the machine does meets both.

    The executor is left as it was.
    """
    tuned = executor.tuning
    default = replace(tuned, chosen={})
    found: dict[int, list[float]] = {id(tuned): [], id(default): []}
    try:
        for run in range(runs + 1):
            for tuning in (tuned, default) if run % 2 else (default, tuned):
                await executor.retune(tuning)
                value = await measure()
                if run:  # the first of each warms up
                    found[id(tuning)].append(value)
    finally:
        await executor.retune(tuned)
    return found[id(tuned)], found[id(default)]


def gain(tuned: list[float], default: list[float]) -> float:
    """How many times as fast: the median over the runs of both."""
    return median(t / d for t, d in zip(tuned, default, strict=True))
