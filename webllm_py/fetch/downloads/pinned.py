"""Files whose digests the caller knows: Subresource Integrity (W3C), of the files of a model."""

from __future__ import annotations

import base64
import builtins
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webllm_py.errors import IntegrityError
from webllm_py.fetch.downloads.digest import StreamDigest
from webllm_py.fetch.source import (
    ByteSource,
    Chunk,
    Folder,
    Keeper,
    VerifiedSource,
    bytes_of,
)

if TYPE_CHECKING:
    from webllm_py.fetch.options import FetchOptions

__all__ = ["PinnedFile", "PinnedFolder", "pinned_file", "pinned_folder"]

BLOCK_BYTES = 1 << 20
MOST_BYTES = 1 << 32  # of a file whose size nobody tells


def pinned_folder(folder: Folder, options: FetchOptions) -> Folder:
    """The folder, whose files are compared with ``FetchOptions.integrity``."""
    return PinnedFolder(folder, options) if options.integrity else folder


def pinned_file(source: ByteSource, filename: str, options: FetchOptions) -> ByteSource:
    """The file, compared if it has an entry."""
    expected = options.integrity.get(filename)
    if expected is None:
        return source
    return PinnedFile(source, Pin(source.name, expected, options.mismatch == "warn"))


@dataclass(frozen=True)
class Pin:
    """What a file must be.

    Attributes:
        name: of the file, for messages.
        expected: "sha256-" (or 384, 512) and the digest as base64.
        warns: whether another file is warned of, rather than refused.
    """

    name: str
    expected: str
    warns: bool

    def digest(self) -> StreamDigest:
        """One of the algorithm that it names."""
        return StreamDigest(self.expected.partition("-")[0])

    def compare(self, digest: StreamDigest) -> None:
        """Compare the whole file's digest.

        Raises:
            IntegrityError: it is another.
        """
        found = base64.b64encode(bytes.fromhex(digest.hexdigest())).decode()
        actual = f"{digest.algorithm}-{found}"
        if actual.rstrip("=") == self.expected.rstrip("="):
            return
        error = IntegrityError(self.name, self.expected, actual)
        if not self.warns:
            raise error
        warnings.warn(str(error), stacklevel=2)


class PinnedFolder:
    """A folder whose files have entries, as a ``Folder``."""

    def __init__(self, folder: Folder, options: FetchOptions):
        self.name = folder.name
        self.model: Keeper | None = getattr(folder, "model", None)
        self._folder = folder
        self._options = options

    async def open(self, filename: str) -> ByteSource:
        """See ``Folder``."""
        return pinned_file(await self._folder.open(filename), filename, self._options)

    async def exists(self, filename: str) -> bool:
        """See ``Folder``."""
        return await self._folder.exists(filename)

    async def list(self) -> builtins.list[str] | None:
        """See ``Folder``."""
        return await self._folder.list()


class PinnedFile:
    """A file that must have a digest, as a ``VerifiedSource``.

    A file that is read whole is compared before it is returned; of one that is read in pieces the
    digest grows as it is read forwards, and ``verify`` reads what was skipped.
    """

    def __init__(self, source: ByteSource, pin: Pin):
        self.name = source.name
        self.folder = getattr(source, "folder", None)
        self._source = source
        self._pin = pin
        self._digest = pin.digest()
        self._compared = False

    async def size(self) -> int | None:
        """See ``ByteSource``."""
        return await self._source.size()

    async def read(self, offset: int, length: int) -> bytes:
        """See ``ByteSource``."""
        return bytes_of(await self.read_chunk(offset, length))

    async def read_chunk(self, offset: int, length: int) -> Chunk:
        """See ``ByteSource``.

        Raises:
            IntegrityError: the file ends with this, and is another.
        """
        chunk = await self._source.read_chunk(offset, length)
        grew = await self._digest.follow(offset, chunk)
        if grew and self._digest.length == await self._source.size():
            self._compare(self._digest)
        return chunk

    async def read_all(self, limit: int) -> bytes:
        """See ``ByteSource``.

        Raises:
            IntegrityError: it is another file.
        """
        data = await self._source.read_all(limit)
        digest = self._pin.digest()
        await digest.add(data)
        self._compare(digest)
        return data

    @property
    def keeper(self) -> Keeper | None:
        """See ``VerifiedSource``."""
        return self._source.keeper if isinstance(self._source, VerifiedSource) else None

    async def missing_bytes(self) -> int:
        """See ``VerifiedSource``."""
        inner = self._source
        return await inner.missing_bytes() if isinstance(inner, VerifiedSource) else 0

    async def verify(self) -> bool:
        """See ``VerifiedSource``."""
        changed = isinstance(self._source, VerifiedSource) and await self._source.verify()
        if changed:
            self._digest, self._compared = self._pin.digest(), False
        size = await self._source.size()
        while not self._compared:
            start = self._digest.length
            if size is None or start == size:  # or none of its bytes were left to read
                await self.read_all(MOST_BYTES)
            else:
                await self.read_chunk(start, min(BLOCK_BYTES, size - start))
        return changed

    def _compare(self, digest: StreamDigest) -> None:
        self._compared = True
        self._pin.compare(digest)

    async def pause(self) -> None:
        """See ``ByteSource``."""
        await self._source.pause()

    async def close(self) -> None:
        """See ``ByteSource``."""
        await self._source.close()
