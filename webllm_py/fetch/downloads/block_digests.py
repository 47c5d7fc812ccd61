"""The digests that a file's blocks must have, where somebody knows them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from webllm_py.fetch.downloads.digest import StreamDigest
from webllm_py.fetch.source import Chunk

__all__ = ["BlockDigests"]


class BlockDigests:
    """The SHA-256 of each block, which may still be asked for."""

    def __init__(self) -> None:
        self._asking: asyncio.Future[Sequence[bytes]] | None = None

    def ask(self, digests: Coroutine[Any, Any, Sequence[bytes]]) -> None:
        """Begin to ask for them."""
        self._asking = asyncio.ensure_future(digests)

    async def of(self, count: int) -> Sequence[bytes]:
        """The digests of a file of ``count`` blocks; empty if nobody knows them.

        Raises:
            WebLLMError: asking for them failed.
        """
        digests = await self._asking if self._asking is not None else ()
        return digests if len(digests) == count else ()  # else of another version of the file

    async def match(self, index: int, chunk: Chunk, count: int) -> bool:
        """Whether block ``index`` of ``count`` is what it must be, as far as is known."""
        digests = await self.of(count)
        if not digests:
            return True
        digest = StreamDigest("sha256")
        await digest.add(chunk)
        return bytes.fromhex(digest.hexdigest()) == digests[index]

    async def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
