"""A digest that grows with the bytes of a file, wherever they lie."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from webllm_py.concurrency import HAS_THREADS
from webllm_py.fetch.files.local import THREAD_FROM
from webllm_py.fetch.source import Chunk, part_of

__all__ = ["StreamDigest"]

COPIED_BYTES = 1 << 20  # at once, from JavaScript into Python's memory


class StreamDigest:
    """SHA-2 (FIPS 180-4) or MD5 (RFC 1321) of bytes that come in the order of the file.

    Python's own code does it in a browser too: SubtleCrypto wants all bytes at once. Of what is in
    the origin-private file system, backends/sha256.js does it beside Python.

    Attributes:
        algorithm: "sha256", "sha384", "sha512" or "md5".
        length: bytes so far.
    """

    def __init__(self, algorithm: str):
        self.algorithm = algorithm
        self.length = 0
        self._hash: Any = hashlib.new(algorithm, usedforsecurity=False)
        self._copy = bytearray()
        self._adding: asyncio.Future[None] | None = None

    async def add(self, chunk: Chunk) -> None:
        """The bytes that follow; many at once in a thread, where there are threads."""
        await self.idle()
        if HAS_THREADS and len(chunk) >= THREAD_FROM:
            self._adding = asyncio.ensure_future(asyncio.to_thread(self._add, chunk))
            await asyncio.shield(self._adding)
        else:
            self._add(chunk)

    async def follow(self, offset: int, chunk: Chunk) -> bool:
        """Add what comes next of the bytes at a place of the file, if any does; whether it did."""
        await self.idle()
        length = len(chunk)
        new = offset + length - self.length
        if offset > self.length or new <= 0:
            return False
        await self.add(part_of(chunk, length - new, length))
        return True

    async def idle(self) -> None:
        """Wait for bytes whose adding was cancelled: the thread went on with them."""
        if self._adding is not None:
            await asyncio.wait([self._adding])
            self._adding = None

    def _add(self, chunk: Chunk) -> None:
        length = len(chunk)
        if hasattr(chunk, "assign_to"):
            self._add_from_javascript(chunk, length)
        else:
            self._hash.update(chunk)
        self.length += length

    def _add_from_javascript(self, chunk: Chunk, length: int) -> None:
        # Through one small buffer, so that Python's memory does not grow.
        for start in range(0, length, COPIED_BYTES):
            count = min(COPIED_BYTES, length - start)
            if len(self._copy) != count:
                self._copy = bytearray(count)
            part_of(chunk, start, start + count).assign_to(self._copy)
            self._hash.update(self._copy)

    def hexdigest(self) -> str:
        """The digest so far, in hexadecimal digits."""
        return str(self._hash.hexdigest())
