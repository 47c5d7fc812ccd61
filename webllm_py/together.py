"""Things that are done side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

__all__ = ["side_by_side", "together", "uninterrupted"]


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run things side by side; when one fails, or this is cancelled, the others are stopped."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def side_by_side(
    works: Sequence[Coroutine[Any, Any, Any]], begun: Callable[[], None]
) -> None:
    """Run things, and tell once all have begun, and what these began first has begun as well."""
    running = asyncio.gather(*works)
    try:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        begun()
    except BaseException:
        running.cancel()
        raise
    await running


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Run to its end what must not be left half done; who is cancelled meanwhile ends behind it."""
    task, cancelled = asyncio.ensure_future(work), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    task.result()
