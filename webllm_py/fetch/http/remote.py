"""What files over HTTP have in common, in a browser and in CPython."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

from webllm_py.errors import SourceError
from webllm_py.fetch.options import FetchOptions

__all__ = ["RemoteFile"]


class Abortable(Protocol):
    """What reads a URL, and can be cut in the middle of a read."""

    def abort(self) -> None:
        """End the request, and a read in progress with it."""


StreamT = TypeVar("StreamT", bound=Abortable)


class RemoteFile(ABC, Generic[StreamT]):
    """One URL, whose reads take turns on one open reply.

    Args:
        url: an absolute address.
        timeout: seconds without a byte after which a read fails.
        headers: sent with each request.
        retries: how often, and after which pauses, a read that failed is tried again, if its error
            may pass (``SourceError.transient``); ``read_some`` is not. None: not at all.

    Attributes:
        until: where requests of ``read_some`` end, a byte offset; None: at the file's end.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 60.0,
        headers: Mapping[str, str] | None = None,
        retries: FetchOptions | None = None,
    ):
        self.name = url
        self.until: int | None = None
        self._timeout = timeout
        self._headers = dict(headers or {})
        self._retries = retries or FetchOptions(tries=1)
        self._lock = asyncio.Lock()
        self._stream: StreamT | None = None
        self._closed = False

    @abstractmethod
    def _open(self) -> StreamT:
        """A new stream; it asks for nothing before it is read."""

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[StreamT]:
        """The file's stream, for one reader at a time.

        Raises:
            SourceError: the file was closed.
        """
        async with self._lock:
            if self._closed:
                raise SourceError(f"{self.name} was closed")
            if self._stream is None:
                self._stream = self._open()
            stream = self._stream
            try:
                yield stream
            except asyncio.CancelledError:
                # The read goes on without us: cut it, and leave it its dead stream. The next read
                # opens another.
                self._stream = None
                stream.abort()
                raise
