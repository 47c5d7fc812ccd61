"""Requests' bodies as they come, of which a server has only so many bytes in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from webllm_py.errors import OverloadedError
from webllm_py.serving.errors import HTTPError

__all__ = ["Bodies", "Receive"]

Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]

MOST_BYTES = 64 << 20
"""Most bytes of a request's body."""
MOST_HELD = 256 << 20
"""Most bytes of all bodies together, of requests that come or are being answered."""


class Bodies:
    """Reads bodies, and counts what is in memory of them until it is released.

    Args:
        patience: seconds after which a client that sends nothing at all counts as gone: what came
            of its body would take others' room.
    """

    def __init__(self, patience: float):
        self._patience = patience
        self._held = 0

    async def read(self, receive: Receive) -> bytes | None:
        """A whole body, to be released; None where the client has gone.

        What is refused is read to its end all the same, and kept nowhere: most clients look for a
        reply only then.

        Raises:
            HTTPError: it is too large, or stopped coming.
            OverloadedError: with all others' it is too much.
        """
        body, error = bytearray(), None
        try:
            while True:
                async with asyncio.timeout(self._patience):
                    message = await receive()
                if message["type"] != "http.request":
                    return None
                if error is None:
                    part = message.get("body", b"")
                    body += part
                    self._held += len(part)
                    error = self._problem(len(body))
                if error is not None:
                    self._drop(body)
                if not message.get("more_body"):
                    break
            if error is not None:
                raise error
            whole = bytes(body)
            self._held += len(whole)
            return whole
        except TimeoutError:
            problem = f"nothing of the request's body came for {self._patience:g} s"
            raise HTTPError(408, problem) from None
        finally:
            self._drop(body)

    def release(self, nbytes: int) -> None:
        """A body of that length is not needed any more."""
        self._held -= nbytes

    def _drop(self, body: bytearray) -> None:
        self.release(len(body))
        body.clear()

    def _problem(self, size: int) -> Exception | None:
        """Why a body cannot be taken, of which so many bytes are held already."""
        if size > MOST_BYTES:
            return HTTPError(413, f"the request's body is larger than {MOST_BYTES >> 20} MiB")
        if self._held > MOST_HELD:
            return OverloadedError(
                f"the bodies of the requests under way take more than {MOST_HELD >> 20} MiB; "
                "try again later"
            )
        return None
