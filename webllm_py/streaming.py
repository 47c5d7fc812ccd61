"""Streamed answers: generated as soon as they are asked for, however late they are read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypeVar, cast

from webllm_py.waking import WakingFuture

__all__ = ["Stream"]

PieceT = TypeVar("PieceT")
END = object()


class Stream(Generic[PieceT]):
    """An asynchronous iterator over the pieces of an answer.

    The answer takes its turn in the order of the calls to ``create``, whenever it is read: a reader
    that is slow, or stops, does not delay other answers. ``aclose`` (or ``async with``) ends it
    early; so does dropping it.

    Args:
        at_end: called when no more pieces will come, even if none ever came.
    """

    def __init__(self, pieces: AsyncIterator[PieceT], at_end: Callable[[], None] = lambda: None):
        self._queue = Queue()
        self._task = asyncio.ensure_future(forward(pieces, self._queue))
        self._task.add_done_callback(lambda _: at_end())
        self._ended = False

    def __aiter__(self) -> Stream[PieceT]:
        return self

    async def __anext__(self) -> PieceT:
        if self._ended:
            raise StopAsyncIteration
        piece: Any = await self._queue.get()
        if piece is END or isinstance(piece, Exception):
            self._ended = True
            self._queue.put(END)  # for other tasks that read this stream
        if piece is END:
            raise StopAsyncIteration
        if isinstance(piece, Exception):
            raise piece
        return cast(PieceT, piece)

    async def __aenter__(self) -> Stream[PieceT]:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the answer; returns when the engine is free again."""
        self._ended = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def __del__(self) -> None:
        if not self._task.done() and not self._task.get_loop().is_closed():
            self._task.cancel()


class Queue:
    """An unbounded queue like ``asyncio.Queue``, but with fewer turns of the event loop between
    ``put`` and the waiting ``get``; see ``waking``."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._getters: deque[WakingFuture[None]] = deque()

    def put(self, item: Any) -> None:
        """Add an item."""
        self._items.append(item)
        self._wake()

    async def get(self) -> Any:
        """Wait for an item, and take the first one."""
        while not self._items:
            getter: WakingFuture[None] = WakingFuture(asyncio.get_running_loop())
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                getter.cancel()
                if self._items:
                    self._wake()  # this one may have been woken for an item that it does not take
                raise
        return self._items.popleft()

    def _wake(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                break


async def forward(pieces: AsyncIterator[Any], queue: Queue) -> None:
    """Put pieces into a queue, then ``END`` or the error that ended them."""
    try:
        async for piece in pieces:
            queue.put(piece)
    except asyncio.CancelledError:
        queue.put(END)
        raise
    except Exception as error:
        queue.put(error)
    else:
        queue.put(END)
