"""A service as an ASGI application, for uvicorn and any other server of that kind.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any, TypeAlias

from webllm_py.errors import OverloadedError
from webllm_py.serving.bodies import Bodies, Receive
from webllm_py.serving.errors import HTTPError, error_reply
from webllm_py.serving.messages import Reply, Request
from webllm_py.serving.service import Service

__all__ = ["ASGIApp"]

logger = logging.getLogger(__name__)

Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATIENCE = 60.0


class ASGIApp:
    """Carries requests to a service, and replies back.

    A client that goes away ends its answer. One that reads slowly holds up nobody: its answer goes
    on into memory, until too much of it is unread (``Backlog``). Which web pages may ask is
    ``OriginGuard``'s part.

    Args:
        patience: seconds after which a client that takes nothing at all, or sends nothing more of
            its request, counts as gone.
    """

    def __init__(self, service: Service, *, patience: float = PATIENCE):
        self._service = service
        self._patience = patience
        self._bodies = Bodies(patience)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """One connection's request."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _http(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        request = Request(scope["method"], scope["path"], headers=headers)
        if self._service.refuses(request):  # of who may not ask nothing is kept in memory
            await self._answer(request, receive, send)
            return
        try:
            body = await self._bodies.read(receive)
        except (HTTPError, OverloadedError) as error:
            await self._send(error_reply(error), send)
            return
        if body is None:
            return
        try:
            await self._answer(replace(request, body=body), receive, send)
        finally:
            self._bodies.release(len(body))

    async def _answer(self, request: Request, receive: Receive, send: Send) -> None:
        """Until it is answered, or the client has gone."""

        async def answer() -> None:
            await self._send(await self._service.answer(request), send)

        answering = asyncio.create_task(answer())
        leaving = asyncio.create_task(disconnected(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        if not answering.cancelled():
            answering.result()  # raises what went wrong here, for the server to log

    async def _send(self, reply: Reply, send: Send) -> None:
        try:
            await send(reply_start(reply))
            if isinstance(reply.body, bytes):
                await send({"type": "http.response.body", "body": reply.body})
                return
            async for piece in reply.body:
                async with asyncio.timeout(self._patience):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            logger.warning("a client took nothing for %g s: its answer was ended", self._patience)
        except OSError:
            pass  # the client went away; servers may say so here
        finally:
            if not isinstance(reply.body, bytes):
                await reply.body.aclose()


def reply_start(reply: Reply) -> dict[str, Any]:
    """A reply's status and headers."""
    headers = {"content-type": reply.content_type, **reply.headers}
    if isinstance(reply.body, bytes):
        headers["content-length"] = str(len(reply.body))
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": reply.status, "headers": pairs}


async def lifespan(receive: Receive, send: Send) -> None:
    """Nothing to start and nothing to stop: the engine is somebody else's."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def disconnected(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
