"""Streams that outlive their connection: by a stream's id another connection goes on where one was
cut.

For that each event has an id, as server-sent events may: ``STREAM:NUMBER``, counted from 0.
https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from webllm_py.errors import RequestError
from webllm_py.serving.errors import HTTPError
from webllm_py.serving.events import END, Events

__all__ = ["Reader", "Streams"]

MOST_ENDED = 16
"""Streams that are remembered after their end; the oldest is forgotten first."""
SECONDS_ENDED = 300.0


class Streams:
    """The streams of one service, by id."""

    def __init__(self, *, most_ended: int = MOST_ENDED, seconds_ended: float = SECONDS_ENDED):
        self._most_ended = most_ended
        self._seconds_ended = seconds_ended
        self._kept: dict[str, KeptStream] = {}
        self._ended: list[KeptStream] = []

    def keep(self, events: Events) -> Reader:
        """Keep a stream whose first event has come (``Events.begin``); the body of its reply."""
        stream = KeptStream(events)
        self._kept[stream.id] = stream
        stream.task.add_done_callback(lambda _: self._remember(stream))
        return stream.read(0)

    def attach(self, id: str, last_event: str | None) -> Reader:
        """The rest of a stream after an event, or all of it; an earlier reader gets no more.

        Args:
            last_event: the id of the last event that came.

        Raises:
            HTTPError: there is no such stream (404).
            RequestError: the stream has no event of this id.
        """
        stream = self._kept.get(id)
        if stream is None:
            raise HTTPError(
                404,
                f"there is no stream {id!r}: it never was, its reader gave it up, or it ended long "
                "ago. Ask again",
                code="stream_not_found",
            )
        if last_event is None:
            return stream.read(0)
        name, _, number = last_event.rpartition(":")
        if name != id or not number.isdecimal() or int(number) >= len(stream.events):
            raise RequestError(
                f"{last_event!r} is the id of no event of the stream {id!r}", param="Last-Event-ID"
            )
        return stream.read(int(number) + 1)

    def _remember(self, stream: KeptStream) -> None:
        if stream.given_up:
            self._forget(stream)
            return
        self._ended.append(stream)
        asyncio.get_running_loop().call_later(self._seconds_ended, self._forget, stream)
        if len(self._ended) > self._most_ended:
            self._forget(self._ended[0])

    def _forget(self, stream: KeptStream) -> None:
        self._kept.pop(stream.id, None)
        if stream in self._ended:
            self._ended.remove(stream)


class KeptStream:
    """The events of one answer so far.

    Attributes:
        task: collects them; ends with the answer.
        given_up: whether its reader gave it up.
    """

    def __init__(self, events: Events):
        self.id = events.id
        self.events: list[bytes] = []
        self.given_up = False
        self.reader: Reader | None = None
        self._source = events
        self._news = asyncio.Event()
        self.task = asyncio.ensure_future(self._collect())

    def read(self, at: int) -> Reader:
        """A reader of the events from number ``at`` on; an earlier reader ends."""
        self.reader = Reader(self, at)
        self._news.set()
        return self.reader

    async def news(self) -> None:
        """Wait for another event or reader, or the end."""
        self._news.clear()
        await self._news.wait()

    async def give_up(self) -> None:
        """End the answer; the engine is free for others when this returns."""
        self.given_up = True
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _collect(self) -> None:
        try:
            async for events in self._source:
                for event in events.split(END)[:-1]:
                    name = f"id: {self.id}:{len(self.events)}\n"
                    self.events.append(name.encode() + event + END)
                self._news.set()
        finally:
            await self._source.aclose()
            self._news.set()


class Reader:
    """The body of a reply: what one client takes of a stream, until another one goes on with it."""

    def __init__(self, stream: KeptStream, at: int):
        self._stream = stream
        self._at = at

    @property
    def id(self) -> str:
        """The stream's."""
        return self._stream.id

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._stream
        while stream.reader is self:
            if self._at < len(stream.events):
                self._at += 1
                yield stream.events[self._at - 1]
            elif stream.task.done():
                return
            else:
                await stream.news()

    async def aclose(self) -> None:
        """No more is wanted. What was not read to its end, by this or a later reader, ends now."""
        stream = self._stream
        read = stream.task.done() and self._at == len(stream.events)
        if stream.reader is self and not read:
            await stream.give_up()
