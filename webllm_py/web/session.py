"""The Python half of a page's worker: one engine, and the jobs that the page has for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import webllm_py
from webllm_py.errors import EngineClosedError
from webllm_py.web.conversions import load_options, plain_info, plain_progress, source_of
from webllm_py.web.job import Job

if TYPE_CHECKING:
    from webllm_py.loading import SharedDevice
    from webllm_py.serving import Service
    from webllm_py.web.document_actions import DocumentActions

__all__ = ["Session"]

RESOURCES = ("chat.completions", "completions", "embeddings")
PATIENCE = 60.0
"""Seconds after which a service worker that takes nothing of its reply counts as gone."""


class Session:
    """One model at a time; what asks for one while it is loaded waits for it.

    Requests are objects with a ``kind``::

        {kind: "load", options}                 ends with the model's info; pieces tell of progress
        {kind: "recover"}                       the same, on a new GPU device
        {kind: "create", resource, fields, processors}   so many logits processors are the page's;
                                                ends with the reply, or after a stream's pieces
        {kind: "documents", collection, action, ...}   ``DocumentActions``; head of "ask": sources
        {kind: "http", method, path, headers, body}   head: {status, headers}; pieces of the body
        {kind: "store", action, source, place}  of kept models; see ``_store``
        {kind: "engine", action, ...}           of models, adapters, answers; see ``EngineActions``
        {kind: "info"}
        {kind: "unload", keeps_device}          for another load, if it keeps the GPU's device
    """

    def __init__(self) -> None:
        self._engine: Any = None
        self._device: SharedDevice | None = None
        self._service: Service | None = None
        self._document_actions: DocumentActions | None = None
        self._turn = asyncio.Lock()  # of what changes the engine
        self._unloading: asyncio.Future[None] | None = None
        self._loading: Job | None = None

    def begin(self, request: str, given: Any, post: Callable[[str], object]) -> Job:
        """Begin a job.

        Args:
            request: as JSON.
            given: what JSON cannot hold: a model's files, a folder or a handle of the browser; or a
                request's logits processors.
            post: sends a message of the job, see ``Job``.
        """
        fields = json.loads(request)
        works: Mapping[str, Callable[..., Awaitable[Any]]] = {
            "load": partial(self._load, given=given),
            "recover": self._recover,
            "create": partial(self._create, given=given),
            "documents": partial(self._documents, given=given),
            "http": self._http,
            "store": partial(self._store, given=given),
            "engine": partial(self._engine_action, given=given),
            "info": self._info,
            "unload": self._unload,
        }
        job = Job(post)
        job.run(works[fields.pop("kind")](job, **fields))
        return job

    def interrupt(self) -> None:
        """End the answer whose turn it is, with the finish reason "abort"."""
        if self._engine is not None:
            self._engine.interrupt()

    async def _load(self, job: Job, options: dict[str, Any], given: Any) -> dict[str, Any]:
        """The model before is freed once this one's files are known to be a model's."""
        async with self._turn:
            device = await self._device_for(options.pop("device", None))
            self._loading, device.before_weights = job, self._free
            try:
                engine = await webllm_py.load(
                    source_of(given),
                    device=device,
                    on_progress=self._tell_progress,
                    **load_options(options),
                )
            finally:
                self._loading = device.before_weights = None
            self._engine = engine
        return plain_info(self._loaded())

    async def _device_for(self, preference: str | None) -> SharedDevice:
        """One for all models of a page: who goes back to one finds its kernels compiled."""
        from webllm_py.loading import SharedDevice

        if self._device is None or self._device.preference != preference:
            other = SharedDevice(preference, stays=True)
            await self._free()
            if self._device is not None:
                self._device.close()
            self._device = other
        return self._device

    async def _recover(self, job: Job) -> dict[str, Any]:
        async with self._turn:
            engine = self._loaded()
            self._loading = job
            try:
                await engine.recover()
            finally:
                self._loading = None
        return plain_info(self._loaded())

    async def _unload(self, job: Job, *, keeps_device: bool = False) -> None:
        async with self._turn:
            await self._free()
            if self._device is not None and not keeps_device:
                self._device.close()

    async def _info(self, job: Job) -> dict[str, Any]:
        await self._ready()
        return plain_info(self._loaded())

    async def _create(
        self, job: Job, resource: str, fields: dict[str, Any], given: Any, processors: int = 0
    ) -> Any:
        if resource not in RESOURCES:
            raise ValueError(f"there is no {resource}")
        engine = await self._ready()
        if processors:
            from webllm_py.web.processors import PageProcessor  # few requests have any

            fields["logits_processors"] = [PageProcessor(given, i) for i in range(processors)]
        answer = await attrgetter(f"{resource}.create")(engine)(**fields)
        if fields.get("stream") is not True:
            return answer.to_dict()
        job.head(None)
        async with aclosing(answer) as chunks:
            async for chunk in chunks:
                await job.send(chunk.to_dict())
        return None

    async def _documents(self, job: Job, **fields: Any) -> Any:
        from webllm_py.web.document_actions import DocumentActions

        if self._document_actions is None:
            self._document_actions = DocumentActions(self._ready)
        return await self._document_actions.do(job, **fields)

    async def _engine_action(self, job: Job, **fields: Any) -> Any:
        from webllm_py.web.engine_actions import EngineActions

        return await EngineActions(self._ready).do(job, **fields)

    async def _store(
        self, job: Job, action: str, given: Any, source: str = "", place: str | None = None
    ) -> Any:
        """Waits for no model. ``given``: what is exported to, or imported."""
        store = webllm_py.models_store(place)
        match action:
            case "list":
                return [asdict(model) for model in await store.list()]
            case "room":
                return asdict(await store.room())
            case "delete":
                return await store.delete(source)
            case "has":
                return await store.has(source)
            case "size":
                return await store.size(source or None)
            case "export":
                return await store.export_to(source, given)
            case "import":
                return await store.import_from(source_of(given))
        raise ValueError(f"there is no {action}")

    async def _http(
        self, job: Job, method: str, path: str, headers: dict[str, str], body: str
    ) -> None:
        from webllm_py.serving import Request
        from webllm_py.serving.errors import error_reply

        try:
            service = self._service_of(await self._ready())
        except EngineClosedError as error:
            reply = error_reply(error)
        else:
            reply = await service.answer(Request(method, path, body.encode(), headers))
        job.head(
            {
                "status": reply.status,
                "headers": {"content-type": reply.content_type, **reply.headers},
            }
        )
        if isinstance(reply.body, bytes):
            job.tell(reply.body.decode())
            return
        try:
            async for piece in reply.body:
                await job.send(piece.decode(), patience=PATIENCE)
        finally:
            await reply.body.aclose()

    def _service_of(self, engine: Any) -> Service:
        from webllm_py.serving import Service, Streams

        if self._service is None:
            # Images are fetched by the browser, as the page that asks could do it.
            self._service = Service(engine, streams=Streams(), images=None)
        return self._service

    async def _ready(self) -> Any:
        """The engine, once no load is under way."""
        async with self._turn:
            return self._loaded()

    def _loaded(self) -> Any:
        if self._engine is None:
            raise EngineClosedError("no model is loaded here; load one first")
        return self._engine

    async def _free(self) -> None:
        """Before another's weights come, so that two models need not fit at once. It goes on when a
        load is cancelled."""
        if self._engine is not None:
            self._unloading = asyncio.ensure_future(self._engine.unload())
            self._engine = self._service = None
        if self._unloading is not None:
            await asyncio.wait([self._unloading])

    def _tell_progress(self, report: Any) -> None:
        if self._loading is not None:
            self._loading.tell(plain_progress(report))
