"""Futures that wake those who wait for them in few turns of the event loop.

A turn has its price: in Pyodide 30 to 60 us, several of which a batch of tokens would take on its
way from the GPU to who reads the answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, NamedTuple, TypeVar

__all__ = ["WakingFuture"]

ResultT = TypeVar("ResultT")


class Wake(NamedTuple):
    """Somebody to be told that a future is done; ``task`` is who is woken by that."""

    future: asyncio.Future[Any]
    callback: Callable[[asyncio.Future[Any]], object]
    context: Context
    task: asyncio.Task[Any] | None


# For a task whose step a turn runs: who comes in the same turn, behind that step.
BEHIND: dict[asyncio.Task[Any], deque[Wake]] = {}


class WakingFuture(asyncio.Future[ResultT]):
    """A future for what one task hands to the next.

    Who waits is woken in a turn of the loop that comes soon, as by any future. Where that is a task
    that then ends another such future, the first who waits for that one is woken in the same turn,
    as soon as the task waits again.

    It is not the loop's own (``create_future``): Pyodide counts those, with a turn for each.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop):
        super().__init__(loop=loop)
        self._waiting: list[Wake] = []

    def add_done_callback(
        self, callback: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        if self.done():
            super().add_done_callback(callback, context=context)
            return
        task = asyncio.current_task(self.get_loop())
        self._waiting.append(Wake(self, callback, context or copy_context(), task))

    def remove_done_callback(self, callback: Callable[[Any], object], /) -> int:
        kept = [wake for wake in self._waiting if wake.callback != callback]
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
        wakes, self._waiting = deque(self._waiting), []
        loop = self.get_loop()
        setter = asyncio.current_task(loop)
        if setter in BEHIND:
            BEHIND[setter] += wakes
        else:
            loop.call_soon(wake_all, wakes)


def wake_all(wakes: deque[Wake]) -> None:
    """A turn of the loop: wake the first of them and those who come behind it, in turns of their
    own the others: Pyodide may suspend this one in the middle."""
    while wakes:
        one = wakes.popleft()
        if wakes:
            one.future.get_loop().call_soon(wake_all, wakes)
        wakes = wake(one)


def wake(one: Wake) -> deque[Wake]:
    """Run the next step of who waits; whom that wakes."""
    behind = deque[Wake]()
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
