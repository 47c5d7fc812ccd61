"""What downloads read a server's file with, a range at a time."""

from __future__ import annotations

from typing import Protocol

from webllm_py.fetch.http.url import FileFacts
from webllm_py.fetch.source import Chunk

__all__ = ["RangeSource"]


class RangeSource(Protocol):
    """``HttpFile``, or in a browser ``FetchFile``."""

    until: int | None

    @property
    def facts(self) -> FileFacts:
        """What is known of the file."""

    def assume(self, facts: FileFacts) -> None:
        """Refuse replies that say otherwise."""

    async def size(self) -> int | None:
        """Length in bytes; None if the server does not tell."""

    async def read_chunk(self, offset: int, length: int) -> Chunk:
        """Exactly ``length`` bytes from ``offset``."""

    async def read_all(self, limit: int) -> bytes:
        """The whole file, of at most ``limit`` bytes."""

    async def read_some(self, offset: int, length: int) -> Chunk:
        """At most ``length`` bytes from ``offset``: what came before a failure."""

    async def close(self) -> None:
        """Abort what is under way."""
