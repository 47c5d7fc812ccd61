"""Files that are kept in the origin-private file system. The work is in ``disk.js``: a worker's."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Sequence
from typing import Any

from webllm_py.errors import SourceError
from webllm_py.fetch.browser import named_errors, to_array
from webllm_py.fetch.source import Chunk

__all__ = ["DiskFile"]


class DiskFile:
    """One of them, as a ``WorkerFile``.

    Args:
        name: for messages.
        disk: disk.js's file.
    """

    def __init__(self, name: str, disk: Any):
        self.broken = False
        self._name = f"{name} in the models' store"
        self._disk = disk
        self._closed = False

    async def blocks(self) -> dict[int, bytes]:
        """See ``BackendFile``."""
        found = (await self._call("blocks")).to_py()
        return {int(index): bytes.fromhex(digest) for index, digest in found.items()}

    async def read(self, offset: int, length: int) -> Chunk:
        """See ``BackendFile``; a JavaScript ``Uint8Array``."""
        return await self._call("read", offset, length)

    async def write(self, index: int, chunk: Chunk) -> bytes:
        """See ``BackendFile``."""
        return bytes.fromhex(await self._call("write", index, to_array(chunk)))

    async def sha256(self, index: int) -> bytes:
        """See ``BackendFile``."""
        return bytes.fromhex(await self._call("digest", index))

    async def drop(self, index: int) -> None:
        """See ``BackendFile``."""
        await self._call("drop", index)

    async def flush(self) -> None:
        """See ``BackendFile``."""
        await self._call("flush")

    async def let_go(self, *, whole: bool) -> None:
        """See ``WorkerFile``."""
        await self._call("letGo", whole)

    async def close(self) -> None:
        """See ``BackendFile``."""
        if not self._closed:
            self._closed = True
            with named_errors(self._name):
                await self._disk.close()

    async def fetch(
        self,
        source: Any,
        first: int,
        last: int,
        expected: Sequence[str] | None,
        wrote: Callable[[int, str], None],
    ) -> list[int]:
        """See ``WorkerFile``."""
        fetching = source.into(self._open())
        digests = None if expected is None else ",".join(expected)
        try:
            with named_errors(source.name):
                wrong = await fetching.run(first, last, digests, wrote)
        except SourceError as error:
            self.broken = bool(getattr(error.__cause__, "store", False))
            raise
        return [int(index) for index in wrong]

    async def sha256_of(self, pieces: AsyncIterable[tuple[int, int]]) -> str:
        """See ``WorkerFile``."""
        digesting = self._open().digesting()
        try:
            async for offset, length in pieces:
                with named_errors(self._name):
                    await digesting.add(offset, length)
            with named_errors(self._name):
                return str(await digesting.end())
        finally:
            digesting.close()

    def release(self, chunk: Chunk) -> None:
        """See ``WorkerFile``."""
        if not self._closed:
            self._disk.release(chunk)

    async def _call(self, method: str, *args: Any) -> Any:
        with named_errors(self._name):
            return await getattr(self._open(), method)(*args)

    def _open(self) -> Any:
        if self._closed:
            raise SourceError(f"{self._name} was closed")
        return self._disk
