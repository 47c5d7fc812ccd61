"""The targets of a router: engines here, and servers that speak OpenAI's interface."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from webllm_py.engine import Engine, load
from webllm_py.errors import (
    CheckpointError,
    DeviceError,
    MissingPackageError,
    RequestError,
    ServerError,
    WebLLMError,
)
from webllm_py.optional import optional_module
from webllm_py.serving.messages import checked_key

__all__ = ["Local", "Remote", "Target", "target_of"]

RETRIED = (408, 409, 429)
"""HTTP statuses, besides those from 500 on, with which another target may do better."""
# How much of a latency's history a new one replaces.
NEW = 0.3


class Target(Protocol):
    """One that may answer.

    Attributes:
        name: what answers call it, ``served_by``.
        private: whether requests that must not leave this machine may go there.
        latency: seconds to the first piece of its answers lately; None before the first one.
    """

    name: str
    private: bool
    latency: float | None

    def answer(self, path: str, fields: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The pieces of an answer, or all of it as the only one.

        Raises:
            WebLLMError: it gives none.
        """


class Timed:
    """Keeps the latency."""

    latency: float | None = None

    def took(self, began: float) -> None:
        """The first piece is there."""
        seconds = time.perf_counter() - began
        before = seconds if self.latency is None else self.latency
        self.latency = before + NEW * (seconds - before)


class Local(Timed):
    """An engine, or a model that is loaded here when it is first asked; a model that does not fit
    in the GPU's memory gives no answer.

    Args:
        engine: an ``Engine``; or what ``webllm_py.load`` takes, with its ``options``.
    """

    def __init__(self, engine: Any = None, *, name: str | None = None, **options: Any):
        self._source, self._options = engine, options
        self._engine: Engine | None = engine if isinstance(engine, Engine) else None
        self._loading = asyncio.Lock()
        self._failed: CheckpointError | DeviceError | None = None
        self.private = True
        self.name = name or (self._engine.name if self._engine else str(engine or "pocket model"))

    async def answer(
        self, path: str, fields: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        began = time.perf_counter()
        engine = await self._loaded()
        resource: Any = {
            "chat/completions": engine.chat.completions,
            "completions": engine.completions,
            "embeddings": engine.embeddings,
        }[path]
        found = await resource.create(**fields)
        if not hasattr(found, "__anext__"):
            self.took(began)
            yield found.to_dict()
            return
        async with found:
            first = True
            async for piece in found:
                if first:
                    self.took(began)
                first = False
                yield piece.to_dict()

    async def _loaded(self) -> Engine:
        async with self._loading:
            if self._failed:
                raise self._failed
            if self._engine is None:
                try:
                    self._engine = await load(self._source, **self._options)
                except (CheckpointError, DeviceError) as error:
                    self._failed = error  # it would not fit the next time either
                    raise
            return self._engine

    async def unload(self) -> None:
        """Free what was loaded here; a given engine stays."""
        if self._engine and self._engine is not self._source:
            await self._engine.unload()
            self._engine = None


class Remote(Timed):
    """A server that speaks OpenAI's interface.

    Args:
        url: its address, as ``https://host/v1``.
        model: the name that it gets, whatever a request's is; needed by servers with several.
        private: whether requests that must not leave this machine may go there after all.
        timeout: seconds for connecting, and between two pieces of an answer.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        model: str | None = None,
        name: str | None = None,
        private: bool = False,
        timeout: float = 60,
    ):
        self.url = url.rstrip("/")
        self.name = name or self.url
        self.private = private
        self._model, self._timeout = model, timeout
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {checked_key(api_key)}"

    async def answer(
        self, path: str, fields: Mapping[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        httpx = http_package()
        body = self._body(fields)
        began = time.perf_counter()
        try:
            async with (
                httpx.AsyncClient(timeout=self._timeout, headers=self._headers) as client,
                client.stream("POST", f"{self.url}/{path}", content=body) as response,
            ):
                if response.status_code >= 400:
                    raise refusal(self.name, response.status_code, await response.aread())
                if not fields.get("stream"):
                    whole = json_object(await response.aread())
                    self.took(began)
                    yield whole
                    return
                first = True
                async for piece in pieces_of(response.aiter_lines(), self.name):
                    if first:
                        self.took(began)
                    first = False
                    yield piece
        except (httpx.HTTPError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise ServerError(f"{self.name} gave no answer: {reason}") from error

    def _body(self, fields: Mapping[str, Any]) -> bytes:
        given = {**fields, **({"model": self._model} if self._model else {})}
        try:
            return json.dumps(given).encode()
        except TypeError as error:
            raise ServerError(f"{self.name} cannot be sent this request: {error}") from None


def http_package() -> Any:
    """httpx, or httpx2 where that is what there is."""
    with suppress(MissingPackageError):
        return optional_module("httpx2", "a remote target", "httpx2")
    return optional_module("httpx", "a remote target", "httpx")


async def pieces_of(lines: Any, name: str) -> AsyncGenerator[dict[str, Any], None]:
    """The objects of an event stream.

    Raises:
        ServerError: the server says that it failed, or ends before the answer does.
    """
    async for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        piece = json_object(data)
        if error := piece.get("error"):  # some servers send null with each piece
            message = error.get("message") if isinstance(error, dict) else error
            raise ServerError(f"{name} failed: {message}")
        yield piece
    raise ServerError(f"{name} ended its answer in the middle")


def json_object(text: str | bytes) -> dict[str, Any]:
    """What a server says.

    Raises:
        ValueError: it is no JSON object.
    """
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"it is no JSON object, but {text[:80]!r}")
    return found


def refusal(name: str, status: int, body: bytes) -> WebLLMError:
    """The error of a reply with such a status."""
    given: Any = None
    with suppress(ValueError):
        given = json.loads(body)
    error = given.get("error") if isinstance(given, dict) else None
    error = error if isinstance(error, dict) else {}
    message = f"{name} refused ({status}): {error.get('message') or 'no reason given'}"
    if status >= 500 or status in RETRIED or status in (401, 403, 404):
        return ServerError(message)
    return RequestError(message, param=error.get("param"), code=error.get("code"))


def target_of(given: Any) -> Target:
    """An engine, an address, or a target as it is.

    Raises:
        RequestError: something else.
    """
    if isinstance(given, Engine):
        return Local(given)
    if isinstance(given, str) and given.startswith(("http://", "https://")):
        return Remote(given)
    if isinstance(given, Local | Remote):
        return given
    raise RequestError(
        f"a router takes engines, addresses (https://host/v1) and targets, not {given!r}"
    )
