"""Running coroutines concurrently, and to their end; and long work beside them, in threads."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["HAS_THREADS", "in_thread", "run_all", "uninterrupted"]

Result = TypeVar("Result")
HAS_THREADS = sys.platform != "emscripten"


async def run_all(
    *works: Coroutine[Any, Any, Any], begun: Callable[[], None] | None = None
) -> None:
    """Run coroutines concurrently. If one fails, or this is cancelled, all are cancelled.

    Args:
        begun: called once all of them have begun, and the tasks that they start first have too.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        if begun:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            begun()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Run to its end what must not be left half done. A cancellation meanwhile takes effect after
    it."""
    task, cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    task.result()


async def in_thread(work: Callable[[], Result]) -> Result:
    """What ``work`` returns, computed in a thread where there are threads."""
    return await asyncio.to_thread(work) if HAS_THREADS else work()
