"""The ``openai`` package's own client over an engine in the same process: no network, no server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from webllm_py.optional import optional_module
from webllm_py.serving.engine import ServedEngine
from webllm_py.serving.messages import Reply, Request
from webllm_py.serving.service import Service

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["openai_client"]

BASE_URL = "http://in-process/v1"


def openai_client(engine: ServedEngine, **options: Any) -> AsyncOpenAI:
    """``openai.AsyncOpenAI`` whose requests this engine answers, for libraries that take one.

    Streams, errors and cancellation are those of a server. Timeouts are not looked at, and what
    fails is not tried again unless ``max_retries`` says so.

    Args:
        options: ``AsyncOpenAI``'s own.

    Raises:
        MissingPackageError: the ``openai`` package is not installed.
    """
    openai = optional_module("openai", "webllm_py.openai_client", "openai")
    httpx = httpx_of(openai)
    service = Service(engine, images=None)  # this program's own requests
    http_client = httpx.AsyncClient(transport=transport(service, httpx), base_url=BASE_URL)
    client: AsyncOpenAI = openai.AsyncOpenAI(
        **{
            "api_key": "none is needed",
            "base_url": BASE_URL,
            "http_client": http_client,
            "max_retries": 0,
            **options,
        }
    )
    return client


def httpx_of(openai: Any) -> Any:
    """The HTTP package that this version of ``openai`` uses: httpx, or since version 3 httpx2."""
    bases = openai.DefaultAsyncHttpxClient.__mro__
    client = next(base for base in bases if base.__name__ == "AsyncClient")
    return import_module(client.__module__.partition(".")[0])


def transport(service: Service, httpx: Any) -> Any:
    """What carries an ``httpx.AsyncClient``'s requests to a service.

    (httpx's own ``ASGITransport`` gives a reply when it is complete, so it cannot stream.)
    """

    class Pieces(httpx.AsyncByteStream):  # type: ignore[misc]
        """The body of a reply."""

        def __init__(self, reply: Reply):
            self._body = reply.body

        async def __aiter__(self) -> AsyncIterator[bytes]:
            if isinstance(self._body, bytes):
                yield self._body
            else:
                async for piece in self._body:
                    yield piece

        async def aclose(self) -> None:
            if not isinstance(self._body, bytes):
                await self._body.aclose()

    class InProcess(httpx.AsyncBaseTransport):  # type: ignore[misc]
        """Takes requests."""

        async def handle_async_request(self, request: Any) -> Any:
            headers = {name.lower(): value for name, value in request.headers.items()}
            body = await request.aread()
            reply = await service.answer(Request(request.method, request.url.path, body, headers))
            given = {"content-type": reply.content_type, **reply.headers}
            return httpx.Response(reply.status, headers=given, stream=Pieces(reply))

    return InProcess()
