"""Futures that wake the tasks that wait for them in few turns of the event loop.

A turn costs 30 to 60 us in Pyodide, and with plain futures a batch of tokens takes several on its
way from the GPU to the reader of the answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, NamedTuple, TypeVar

__all__ = ["WakingFuture"]

ResultT = TypeVar("ResultT")


class Waiter(NamedTuple):
    """A callback to call when a future is done; ``task`` is the task that waits for it."""

    future: asyncio.Future[Any]
    callback: Callable[[asyncio.Future[Any]], object]
    context: Context
    task: asyncio.Task[Any] | None


# By the task whose step is being run: what is called in the same turn, after that step.
BEHIND: dict[asyncio.Task[Any], deque[Waiter]] = {}


class WakingFuture(asyncio.Future[ResultT]):
    """A future for what one task hands to the next.

    A task that waits for it is woken in the next turn of the loop, as by any future. But if that
    task's step then ends another such future, the first task that waits for that one runs in the
    same turn, right after the step.

    It is not made by the loop's ``create_future``: Pyodide counts those, at a turn for each.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop):
        super().__init__(loop=loop)
        self._waiting: list[Waiter] = []

    def add_done_callback(
        self, callback: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        if self.done():
            super().add_done_callback(callback, context=context)
            return
        task = asyncio.current_task(self.get_loop())
        self._waiting.append(Waiter(self, callback, context or copy_context(), task))

    def remove_done_callback(self, callback: Callable[[Any], object], /) -> int:
        kept = [one for one in self._waiting if one.callback != callback]
        removed = len(self._waiting) - len(kept)
        self._waiting = kept
        return removed + super().remove_done_callback(callback)

    def set_result(self, result: ResultT, /) -> None:
        super().set_result(result)
        self._wake()

    def set_exception(self, exception: type[BaseException] | BaseException, /) -> None:
        super().set_exception(exception)
        self._wake()

    def cancel(self, msg: Any | None = None) -> bool:
        cancelled = super().cancel(msg)
        self._wake()
        return cancelled

    def _wake(self) -> None:
        if not self._waiting:
            return
        waiters, self._waiting = deque(self._waiting), []
        loop = self.get_loop()
        setter = asyncio.current_task(loop)
        if setter in BEHIND:
            BEHIND[setter] += waiters
        else:
            loop.call_soon(wake_all, waiters)


def wake_all(waiters: deque[Waiter]) -> None:
    """Run in a turn of the loop: wake the first, and what its step wakes. The others have turns of
    their own, since Pyodide may suspend this one in the middle."""
    while waiters:
        one = waiters.popleft()
        if waiters:
            one.future.get_loop().call_soon(wake_all, waiters)
        waiters = wake(one)


def wake(one: Waiter) -> deque[Waiter]:
    """Call one callback, which runs the next step of its task; the waiters that this step wakes."""
    behind = deque[Waiter]()
    if one.task is None:
        one.context.run(one.callback, one.future)
        return behind
    BEHIND[one.task] = behind
    try:
        one.context.run(one.callback, one.future)
    except BaseException:
        if behind:
            one.future.get_loop().call_soon(wake_all, behind)
        raise
    finally:
        BEHIND.pop(one.task, None)
    return behind
