"""Which web pages may ask: a browser lets any page send requests to a server on this machine."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from typing import Any

from webllm_py.errors import ServerError
from webllm_py.serving.asgi import Send, reply_start
from webllm_py.serving.bodies import Receive
from webllm_py.serving.errors import HTTPError, error_reply

__all__ = ["ANY", "OriginGuard", "checked_origin"]

logger = logging.getLogger(__name__)

ANY = "*"
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
MOST_TOLD = 16


class OriginGuard:
    """Refuses requests of web pages whose origin is not allowed, with status 403, before an
    application sees them.

    Without CORS headers a page cannot read a reply, but a form or a ``text/plain`` body is sent
    without asking first. Browsers name the page's origin in every request but plain reading
    (https://fetch.spec.whatwg.org/#origin-header); other clients send no ``Origin``, and go on.

    Args:
        app: an ASGI application.
        allowed: origins as ``checked_origin`` gives them.
    """

    def __init__(self, app: Any, allowed: Collection[str] = ()):
        self._app = app
        self._allowed = frozenset(allowed)
        self._told: set[str] = set()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """One connection's request."""
        origins = [value for name, value in scope.get("headers", ()) if name == b"origin"]
        for origin in [value.decode("latin-1") for value in origins]:
            if origin not in self._allowed and ANY not in self._allowed:
                await self._refuse(origin, scope["type"], send)
                return
        await self._app(scope, receive, send)

    async def _refuse(self, origin: str, kind: str, send: Send) -> None:
        if kind != "http":
            await send({"type": "websocket.close"})
            return
        problem = (
            f"web pages of {origin!a} may not ask this server: start it with "
            "--allow-origin ORIGIN for those that may"
        )
        if origin not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(origin)
            logger.warning("a request was refused: %s", problem)  # browsers hide it from the page
        reply = error_reply(HTTPError(403, problem, code="origin_not_allowed"))
        await send(reply_start(reply))
        await send({"type": "http.response.body", "body": reply.body})


def checked_origin(text: str) -> str:
    """An origin as browsers write it: lower case, without what stands behind the host or a default
    port. ``*`` is every one, ``null`` those of files and sandboxes.

    Raises:
        ServerError: it is none.
    """
    origin = text.strip().lower().removesuffix("/")
    parts = re.fullmatch(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d+)?", origin)
    if parts is None:
        if origin in (ANY, "null"):
            return origin
        raise ServerError(
            f"{text!r} is not an origin: it is made as https://example.org or "
            "http://localhost:3000, without a path, or is * for all"
        )
    scheme, host, port = parts.groups()
    return f"{scheme}://{host}{'' if port in (None, DEFAULT_PORTS.get(scheme)) else port}"
