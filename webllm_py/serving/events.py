"""A streamed answer as server-sent events: a JSON object each, then ``[DONE]``.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from webllm_py.serving.errors import error_body

__all__ = ["Events"]

DONE = b"data: [DONE]\n\n"
GONE = 499  # nginx's status for a client that went away before its answer was there


class Events:
    """The body of a reply. The first piece is waited for before (``begin``), so that an answer that
    cannot be given has an HTTP status of its own.

    Args:
        stream: what the engine returned: an asynchronous iterator of mappings.
        show_usage: whether the last piece, which has the usage and no choices, was asked for.
        at_end: called once, with the status to note and the usage if there was one.
        on_error: called with what ended it in the middle; gives the status.
    """

    def __init__(
        self,
        stream: Any,
        *,
        show_usage: bool,
        at_end: Callable[[int, Mapping[str, Any] | None], None],
        on_error: Callable[[Exception], int],
    ):
        self._stream = stream
        self._show_usage = show_usage
        self._at_end = at_end
        self._on_error = on_error
        self._usage: Mapping[str, Any] | None = None
        self._status = GONE
        self._closed = False
        self._pieces = self._make()
        self._first = b""

    async def begin(self) -> None:
        """Wait for the first piece.

        Raises:
            Exception: there will be none, and why.
        """
        try:
            self._first = await anext(self._pieces)
        except BaseException:
            await self._stream.aclose()
            raise

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        try:
            async for piece in self._pieces:
                yield piece
        except Exception as error:
            self._status = self._on_error(error)
            yield event(error_body(error))

    async def aclose(self) -> None:
        """End the answer; the engine is free for others when this returns."""
        if not self._closed:
            self._closed = True
            self._at_end(self._status, self._usage)
            await self._stream.aclose()

    async def _make(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            plain = piece.to_dict()
            self._usage = plain.get("usage") or self._usage
            if plain["choices"] or self._show_usage:
                yield event(plain)
        self._status = 200
        yield DONE


def event(value: Mapping[str, Any]) -> bytes:
    """One event. JSON has no line ends, which would end it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode("utf-8", "replace") + b"\n\n"
