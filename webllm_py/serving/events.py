"""A streamed answer as server-sent events: a JSON object each, then ``[DONE]``.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from webllm_py.errors import SlowReaderError
from webllm_py.serving.errors import GONE, error_body
from webllm_py.streaming import Queue

__all__ = ["Backlog", "Events"]

END = b"\n\n"
DONE = b"data: [DONE]" + END
MOST_UNREAD = 4 << 20
MOST_UNREAD_BY_ALL = 64 << 20


class Backlog:
    """Counts bytes of streams that their clients have not read yet.

    Attributes:
        most: most bytes of one stream.
        most_by_all: most bytes of all streams together.
    """

    def __init__(self) -> None:
        self.most, self.most_by_all = MOST_UNREAD, MOST_UNREAD_BY_ALL
        self.size = 0

    def check(self, own: int) -> None:
        """Check that a stream may hold ``own`` bytes that its client has not read.

        Raises:
            SlowReaderError: they, or those of all, are too many.
        """
        if own > self.most or self.size > self.most_by_all:
            raise SlowReaderError(
                f"{own >> 10:,} KiB of this answer were not read: it was ended. Read it faster, or "
                "ask for it without 'stream'"
            )


class Events:
    """The body of a reply. ``begin`` waits for the first piece, so that an answer that cannot be
    given gets an HTTP status of its own.

    Pieces are taken from the engine as they come, however slowly the body is read: unread bytes
    count in ``backlog``, and are sent together.

    Args:
        stream: what the engine returned: an asynchronous iterator of mappings.
        show_usage: whether the client asked for the last piece, which has the usage but no choices.
        at_end: called once, with the status to log and the usage, if there was one.
        on_error: called with an error that ended the stream in the middle; returns its status.
        backlog: shared by all streams of a server.

    Attributes:
        id: the answer's, once it has begun.
    """

    def __init__(
        self,
        stream: Any,
        *,
        show_usage: bool,
        at_end: Callable[[int, Mapping[str, Any] | None], None],
        on_error: Callable[[Exception], int],
        backlog: Backlog,
    ):
        self.id = ""
        self._stream = stream
        self._show_usage = show_usage
        self._at_end = at_end
        self._on_error = on_error
        self._backlog = backlog
        self._usage: Mapping[str, Any] | None = None
        self._status = GONE
        self._closed = False
        self._unread = bytearray()
        self._error: Exception | None = None
        self._begun = False
        self._changes = Queue()  # True while there may be more
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Wait for the first piece.

        Raises:
            Exception: why there will be none.
        """
        self._task = asyncio.ensure_future(self._write())
        try:
            await self._changes.get()
            if not self._unread and self._error:
                raise self._error
        except BaseException:
            await self._end()
            raise
        self._begun = True
        if self._error:
            self._status = self._on_error(self._error)
        self._changes.put(True)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            more = await self._changes.get()
            if self._unread:
                yield self._taken()
        if self._error:
            yield event(error_body(self._error))

    def _taken(self) -> bytes:
        """All bytes that were not read yet."""
        data = bytes(self._unread)
        self._unread.clear()
        self._backlog.size -= len(data)
        return data

    async def aclose(self) -> None:
        """End the answer; the engine is free for others when this returns."""
        if not self._closed:
            self._closed = True
            self._at_end(self._status, self._usage)
            await self._end()

    async def _end(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._taken()
        await self._stream.aclose()

    async def _write(self) -> None:
        """Take the answer's pieces, until it ends or its client reads too slowly."""
        try:
            async for piece in self._stream:
                plain = piece.to_dict()
                self.id = plain["id"]
                self._usage = plain.get("usage") or self._usage
                if plain["choices"] or self._show_usage:
                    self._put(event(plain))
            self._status = 200
            self._put(DONE)
        except Exception as error:
            self._error = error
            if self._begun:
                self._status = self._on_error(error)
            if isinstance(error, SlowReaderError):
                self._taken()
                await self._stream.aclose()
        self._changes.put(False)

    def _put(self, data: bytes) -> None:
        if not self._unread:
            self._changes.put(True)
        self._unread += data
        self._backlog.size += len(data)
        self._backlog.check(len(self._unread))


def event(value: Mapping[str, Any]) -> bytes:
    """One event. JSON has no line ends, which would end it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode("utf-8", "replace") + END
