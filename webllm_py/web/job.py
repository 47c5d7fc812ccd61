"""A job that a page, or a service worker, asked for, and the messages that answer it."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from webllm_py.errors import RequestError, WebLLMError

__all__ = ["Job", "described"]

WINDOW = 64
"""Pieces that may be in flight, sent but not taken by the other side (flow control)."""


class Job:
    """A task that sends its result in pieces, no faster than the other side takes them.

    Messages, as JSON, each an object with one key::

        {"head": ...}       at most once, before any piece
        {"piece": ...}
        {"end": ...}        the last one: what came of it
        {"error": {...}}    the last one: see ``described``
        {"cancelled": true} the last one

    Args:
        post: sends a message.
    """

    def __init__(self, post: Callable[[str], object]):
        self._post = post
        self._room = WINDOW
        self._taking: asyncio.Future[None] | None = None
        self._task: asyncio.Future[Any] | None = None

    def run(self, work: Awaitable[Any]) -> asyncio.Future[Any]:
        """Begin; what ``work`` returns is the end's value."""
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(self._ended)
        return self._task

    def head(self, value: Any) -> None:
        """Send what comes before the pieces."""
        self._post_one("head", value)

    def tell(self, piece: Any) -> None:
        """Send a piece at once, without flow control: for few pieces."""
        self._post_one("piece", piece)

    async def send(self, piece: Any, *, patience: float | None = None) -> None:
        """Send a piece once there is room for it.

        Args:
            patience: seconds without room after which the other side counts as gone.

        Raises:
            TimeoutError: it is gone.
        """
        if self._room <= 0:
            self._taking = asyncio.Future(loop=asyncio.get_running_loop())
            await asyncio.wait_for(self._taking, patience)
        self._room -= 1
        self._post_one("piece", piece)

    def taken(self, count: int) -> None:
        """The other side has taken ``count`` pieces."""
        self._room += count
        if self._taking is not None and not self._taking.done():
            self._taking.set_result(None)

    def cancel(self) -> None:
        """End it: nobody wants the rest."""
        if self._task is not None:
            self._task.cancel()

    def _ended(self, task: asyncio.Future[Any]) -> None:
        if task.cancelled():
            self._post_one("cancelled", True)
        elif error := task.exception():
            self._post_one("error", described(error))
        else:
            self._post_one("end", task.result())

    def _post_one(self, key: str, value: Any) -> None:
        self._post(json.dumps({key: value}, ensure_ascii=False))


def described(error: BaseException) -> dict[str, Any]:
    """An error as JSON can hold it; the other side makes an error of its own from that.

    Returns:
        ``names`` of its class and its bases, the most specific first; ``message``; ``fields``.
    """
    message, fields = str(error), {}
    if isinstance(error, WebLLMError):
        fields = {name: value for name, value in vars(error).items() if not name.startswith("_")}
        if isinstance(error, RequestError):
            fields["type"] = error.type
    else:
        traceback.print_exception(error)  # a defect: the console gets all of it
        message = f"{type(error).__name__}: {error}"
    return {
        "names": [kind.__name__ for kind in type(error).__mro__],
        "message": message,
        "fields": {name: value for name, value in fields.items() if is_plain(value)},
    }


def is_plain(value: Any) -> bool:
    """Whether JSON can hold a value."""
    if isinstance(value, dict):
        return all(map(is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)
