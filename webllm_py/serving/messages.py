"""A request and its reply, as any transport can carry them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from webllm_py.errors import RequestError, ServerError

__all__ = ["Body", "Reply", "Request", "checked_key"]


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        path: without the query.
        headers: by lower-case name.
    """

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """The body, which is a JSON object.

        Raises:
            RequestError: it is something else.
        """
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise RequestError(f"the request's body is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise RequestError("the request's body must be a JSON object")
        return found


class Body(Protocol):
    """A body that comes in pieces; closing it early ends what makes them."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces."""

    async def aclose(self) -> None:
        """No more of them are wanted; also to be called after the last one."""


@dataclass(frozen=True)
class Reply:
    """What is answered. A body in pieces must be closed, read to its end or not."""

    status: int
    content_type: str
    body: bytes | Body
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        """A reply that is plain dicts and lists."""
        body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        return cls(status, "application/json", body, headers)


def checked_key(key: str) -> str:
    """An API key as it is, if every client can send it: other characters go through HTTP's headers
    in several encodings or not at all, and blanks at its ends are cut off.

    Raises:
        ServerError: it cannot be sent, or is empty.
    """
    if not re.fullmatch(r"[!-~]+", key):
        problem = "has others" if key else "is empty"
        raise ServerError(
            "an API key is made of ASCII's letters, digits and marks, without blanks and line "
            f"ends; this one {problem}"
        )
    return key
