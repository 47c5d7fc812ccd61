"""A clock of the event loop's thread in Pyodide, where no CPU time is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

__all__ = ["host_clock"]


@asynccontextmanager
async def host_clock(elsewhere: Callable[[], float]) -> AsyncIterator[Callable[[], float]]:
    """See ``Device.host_clock``: the seconds that callbacks of the event loop take.

    While it lasts, ``asyncio.Handle._run`` is replaced by one that measures. Measuring around the
    JavaScript that calls it would not do: with stack switching that returns at once, and Python
    runs later.

    Args:
        elsewhere: seconds of work that no callback of the event loop does.
    """
    run = asyncio.Handle._run
    worked = 0.0
    since: float | None = None

    def measured(handle: asyncio.Handle) -> None:
        nonlocal worked, since
        since = time.perf_counter()
        try:
            run(handle)
        finally:
            worked += time.perf_counter() - since
            since = None

    def clock() -> float:
        under_way = time.perf_counter() - since if since is not None else 0.0
        return worked + under_way + elsewhere()

    asyncio.Handle._run = measured  # type: ignore[assignment, method-assign]
    try:
        await asyncio.sleep(0)  # this callback began unmeasured; the next one is measured
        yield clock
    finally:
        asyncio.Handle._run = run  # type: ignore[method-assign]
