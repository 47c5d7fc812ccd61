"""OpenAI's endpoints over an engine, and llama.cpp's for tokens and health."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from webllm_py.api.fields import opened
from webllm_py.concurrency import in_thread
from webllm_py.errors import DeviceLostError, QueueFullError, SlowReaderError
from webllm_py.serving.engine import ServedEngine
from webllm_py.serving.errors import GONE, HTTPError, error_reply, status_of
from webllm_py.serving.events import Backlog, Events
from webllm_py.serving.images import only_data_urls
from webllm_py.serving.messages import Reply, Request, checked_key
from webllm_py.serving.metrics import CONTENT_TYPE, Metrics
from webllm_py.serving.streams import Reader, Streams
from webllm_py.serving.tokens import detokenized, tokenized

__all__ = ["MOST_WAITING", "Service"]

logger = logging.getLogger(__name__)

MOST_WAITING = 64
"""Requests that may be queued; more are refused."""
NAMING = ("/models", "/streams")
"""Endpoints whose path may be followed by the name of a model or stream."""


ELSEWHERE = {
    "/responses": "the Responses API is not done: ask /v1/chat/completions, which takes tools, "
    "structured output and streams as well",
    "/assistants": "assistants are not done: ask /v1/chat/completions",
    "/completion": "llama.cpp's own endpoint is not done: ask /v1/completions",
}
"""Endpoints that other servers have, and what to use here instead."""


class Service:
    """Answers HTTP requests, one call each; calls may overlap.

    Every path works with ``/v1`` before it and without. An engine's only model answers whatever
    model a request names; of several, the named one does. An adapter's name stands for its model
    with the adapter.

    Args:
        api_key: the key that ``Authorization: Bearer ...`` must have, except for ``/health``; None
            for no check.
        most_waiting: requests that may be queued; more get the status 429.
        streams: keeps streamed answers for ``GET /v1/streams/ID``, for transports that may be cut
            against their client's will. None: a client that goes away ends its answer.
        images: handles images that a chat request names by address: ``only_data_urls`` refuses
            them, ``PublicImages()`` fetches them. None leaves them to the engine, which fetches
            from anywhere: for clients that could do that themselves.

    Raises:
        ServerError: an API key that not every client can send.
    """

    def __init__(
        self,
        engine: ServedEngine,
        *,
        api_key: str | None = None,
        most_waiting: int = MOST_WAITING,
        streams: Streams | None = None,
        images: Callable[[dict[str, Any]], Awaitable[None]] | None = only_data_urls,
    ):
        self.engine = engine
        self.metrics = Metrics()
        self.backlog = Backlog()
        self._api_key = None if api_key is None else checked_key(api_key)
        self._most_waiting = most_waiting
        self._streams = streams
        self._images = images
        self._created = int(time.time())
        self._recovering: asyncio.Task[None] | None = None
        self._endpoints: dict[str, tuple[str, Callable[[Request], Awaitable[Reply]]]] = {
            "/chat/completions": ("POST", self._chat),
            "/completions": ("POST", self._completions),
            "/embeddings": ("POST", self._embeddings),
            "/models": ("GET", self._models),
            "/tokenize": ("POST", self._tokenize),
            "/detokenize": ("POST", self._detokenize),
            "/health": ("GET", self._health),
            "/metrics": ("GET", self._metrics),
        }
        if streams:
            self._endpoints["/streams"] = ("GET", self._stream)

    async def answer(self, request: Request) -> Reply:
        """The reply to a request. Errors are replies too; only cancellation is raised, and ends the
        answer under way."""
        name, status = endpoint_name(request), GONE
        try:
            endpoint = self._endpoint(request, name)
            reply = await endpoint(request)
            status = reply.status
        except Exception as error:
            status = self._failed(error)
            reply = error_reply(error)
        finally:
            counted = name if name in self._endpoints else "other"
            if status != 200 or isinstance(reply.body, bytes):  # a stream notes its own end
                self.metrics.ended(counted, status)
        return reply

    def refuses(self, request: Request) -> bool:
        """Whether a request is refused whatever its body is, which then need not be read."""
        try:
            self._endpoint(request, endpoint_name(request))
        except HTTPError:
            return True
        return False

    def _endpoint(self, request: Request, name: str) -> Callable[[Request], Awaitable[Reply]]:
        if name not in self._endpoints:
            names = ", ".join(self._endpoints)
            there = f"the endpoints are {names}, with or without /v1 before them"
            reason = ELSEWHERE.get(name, there)
            problem = f"there is no {request.path} here: {reason}"
            raise HTTPError(404, problem, code="unknown_url")
        method, endpoint = self._endpoints[name]
        # Whatever carries the reply leaves its body away; but a stream would be read.
        looks = request.method == "HEAD" and method == "GET" and name != "/streams"
        if request.method != method and not looks:
            raise HTTPError(
                405, f"{request.path} takes {method}, not {request.method}", allow=method
            )
        if self._api_key is not None and name != "/health":
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            right = hmac.compare_digest(given.encode(), self._api_key.encode())
            if scheme.lower() != "bearer" or not right:
                raise HTTPError(
                    401,
                    "this server wants its API key, as in 'Authorization: Bearer KEY'",
                    code="invalid_api_key",
                    **{"www-authenticate": "Bearer"},
                )
        return endpoint

    def _failed(self, error: Exception) -> int:
        """Handle an error of an endpoint; its HTTP status."""
        status = status_of(error)
        if status == 500:
            logger.error("a request failed", exc_info=error)
        if isinstance(error, SlowReaderError):
            self.metrics.slow_readers += 1
        if isinstance(error, DeviceLostError):
            self._recover()
        return status

    def _check_queue(self) -> None:
        waiting = self._total("waiting")
        if waiting >= self._most_waiting:
            raise QueueFullError(f"{waiting} requests wait already; try again later")

    async def _chat(self, request: Request) -> Reply:
        return await self._generate("/chat/completions", self.engine.chat.completions, request)

    async def _completions(self, request: Request) -> Reply:
        return await self._generate("/completions", self.engine.completions, request)

    async def _generate(self, endpoint: str, resource: Any, request: Request) -> Reply:
        fields = opened(request.fields())  # so that nothing stands where it is not looked for
        self._check_queue()
        if self._images is not None:
            await self._images(fields)
        options, stream = fields.get("stream_options"), fields.get("stream") is True
        show_usage = isinstance(options, dict) and bool(options.get("include_usage"))
        if stream and (options is None or isinstance(options, dict)):
            fields["stream_options"] = {**(options or {}), "include_usage": True}  # for the metrics

        def ended(status: int, usage: Mapping[str, Any] | None) -> None:
            self.metrics.ended(endpoint, status)
            if usage:
                self.metrics.used(usage)

        answer = await resource.create(**fields)
        if not stream:
            self.metrics.used(answer["usage"])
            return Reply.json(answer.to_dict())
        events = Events(
            answer,
            show_usage=show_usage,
            at_end=ended,
            on_error=self._failed,
            backlog=self.backlog,
        )
        await events.begin()
        return streamed(events if self._streams is None else self._streams.keep(events))

    async def _stream(self, request: Request) -> Reply:
        assert self._streams is not None
        id = named(request, "/streams")
        return streamed(self._streams.attach(id, request.headers.get("last-event-id")))

    async def _embeddings(self, request: Request) -> Reply:
        fields = request.fields()
        self._check_queue()
        answer = await self.engine.embeddings.create(**fields)
        self.metrics.used(answer["usage"])
        return Reply.json(answer.to_dict())

    async def _models(self, request: Request) -> Reply:
        models: dict[str, Any] = {}
        for name, engine in self.engine.models.items():
            models[name] = {
                "id": name,
                "object": "model",
                "created": self._created,
                "owned_by": "webllm_py",
                "context_length": engine.info["context_length"],
            }
            for adapter in engine.adapters:
                models.setdefault(adapter, {**models[name], "id": adapter, "parent": name})
        asked = named(request, "/models")
        if not asked:
            return Reply.json({"object": "list", "data": [*models.values()]})
        if asked not in models:
            raise HTTPError(
                404,
                f"there is no model {asked!r} here, only {', '.join(map(repr, models))}",
                code="model_not_found",
            )
        return Reply.json(models[asked])

    def _total(self, name: str) -> int:
        """The sum of an engine's count over all models."""
        return sum(getattr(engine, name) for engine in self.engine.models.values())

    async def _tokenize(self, request: Request) -> Reply:
        work = partial(tokenized, self.engine.tokenizer, request.fields())
        return Reply.json(await in_thread(work))  # a long text does not hold answers up

    async def _detokenize(self, request: Request) -> Reply:
        size = self.engine.info["vocab_size"]
        work = partial(detokenized, self.engine.tokenizer, request.fields(), size)
        return Reply.json(await in_thread(work))

    async def _health(self, request: Request) -> Reply:
        _ = self.engine.name  # raises where the model is gone
        return Reply.json({"status": "ok"})

    async def _metrics(self, request: Request) -> Reply:
        memory = sum(engine.info["gpu_memory"] for engine in self.engine.models.values())
        text = self.metrics.text(
            requests_processing=(self._total("answering"), "Requests that are being answered"),
            requests_waiting=(self._total("waiting"), "Requests whose turn has not come"),
            unread_bytes=(self.backlog.size, "Bytes of streams that clients have not taken yet"),
            gpu_memory_bytes=(memory, "Memory of the models on the GPU"),
        )
        return Reply(200, CONTENT_TYPE, text.encode())

    def _recover(self) -> None:
        """Load the model again in the background; requests meanwhile wait for it."""
        if self._recovering is None or self._recovering.done():
            self._recovering = asyncio.create_task(self._recovered())

    async def _recovered(self) -> None:
        logger.warning("the GPU was lost: the model is loaded again")
        try:
            await self.engine.recover()
        except Exception:
            logger.exception("recovering failed")


def streamed(body: Events | Reader) -> Reply:
    """A reply of server-sent events."""
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # nginx would hold it
    if isinstance(body, Reader):
        headers["x-stream-id"] = body.id
    return Reply(200, "text/event-stream; charset=utf-8", body, headers)


def endpoint_name(request: Request) -> str:
    """A request's path without ``/v1``, and without a name that follows the endpoint."""
    path = request.path.removeprefix("/v1").rstrip("/")
    return next((name for name in NAMING if path.startswith(f"{name}/")), path)


def named(request: Request, endpoint: str) -> str:
    """The name that follows the endpoint in a request's path."""
    return request.path.removeprefix("/v1").removeprefix(endpoint).strip("/")
