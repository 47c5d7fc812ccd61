"""Things that are done side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["together", "uninterrupted"]


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run things side by side; when one fails, or this is cancelled, the others are stopped."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
