"""The gain of tuning: decoding with the shapes that were found, and with the fixed defaults."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from statistics import median

from webllm_py.runtime.executor import Executor

__all__ = ["gain", "tuned_and_default"]


async def tuned_and_default(
    executor: Executor, measure: Callable[[], Awaitable[float]], runs: int, long_seconds: float
) -> tuple[list[float], list[float]]:
    """Measure with the tuned and with the default kernels in turn, so that what else the machine
    does meets both.

    Args:
        runs: measurements with each; fewer, but at least one, once all took ``long_seconds``.

    Returns:
        The times with the tuned kernels, and those with the default ones. The executor is left as
        it was.
    """
    start = time.perf_counter()
    tuned = executor.tuning
    default = replace(tuned, chosen={})
    with_tuned: list[float] = []
    with_default: list[float] = []
    turns = [(tuned, with_tuned), (default, with_default)]
    try:
        for run in range(runs + 1):
            if run > 1 and time.perf_counter() - start > long_seconds:
                break
            for tuning, values in turns if run % 2 else reversed(turns):
                await executor.retune(tuning)
                value = await measure()
                if run:  # the first of each warms up
                    values.append(value)
    finally:
        await executor.retune(tuned)
    return with_tuned, with_default


def gain(tuned: list[float], default: list[float]) -> float:
    """How many times as fast: the median over the runs of both."""
    return median(t / d for t, d in zip(tuned, default, strict=True))
