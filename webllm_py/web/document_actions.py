"""Collections of documents, as a page uses them from JavaScript."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import webllm_py
from webllm_py.documents import Documents, Embedder, Passage
from webllm_py.errors import DocumentError
from webllm_py.web.conversions import plain_progress, source_of
from webllm_py.web.job import Job

__all__ = ["DocumentActions"]

MOST_BYTES = 256 << 20  # of one document


class DocumentActions:
    """The open collections by name, and the embedder that they are searched with.

    Args:
        ready: gives the engine that answers, once no load is under way.
    """

    def __init__(self, ready: Callable[[], Awaitable[Any]]):
        self._ready = ready
        self._open: dict[str, Documents] = {}
        self._embedder: Embedder | None = None
        self._engine: Any = None  # the embedder's
        self._changing = asyncio.Lock()  # what is open, or the embedder

    async def do(self, job: Job, collection: str, action: str, given: Any, **fields: Any) -> Any:
        """One of the actions below, on a collection that is opened for it."""
        async with self._changing:  # or two jobs would each open one, apart from the other's
            if collection not in self._open:
                self._open[collection] = await Documents.open(collection, self._embedder)
        documents = self._open[collection]
        actions: dict[str, Callable[..., Awaitable[Any]]] = {
            "add": self._add,
            "ask": self._ask,
            "list": self._list,
            "remove": self._remove,
            "search": self._search,
            "use": self._use,
        }
        return await actions[action](job, documents, given, **fields)

    async def _list(self, job: Job, documents: Documents, given: Any) -> dict[str, Any]:
        embedder = None if self._embedder is None else self._embedder.name
        return {"documents": [asdict(info) for info in documents.list()], "embedder": embedder}

    async def _add(
        self, job: Job, documents: Documents, given: Any, name: str, text: str | None = None
    ) -> dict[str, Any]:
        content = await read(given) if text is None else text
        return asdict(await documents.add(name, content, on_progress=counts(job)))

    async def _remove(self, job: Job, documents: Documents, given: Any, name: str) -> None:
        await documents.remove(name)

    async def _search(
        self, job: Job, documents: Documents, given: Any, question: str, k: int = 5
    ) -> list[dict[str, Any]]:
        return list(map(plain, await documents.search(question, k)))

    async def _ask(
        self, job: Job, documents: Documents, given: Any, question: str, **fields: Any
    ) -> None:
        fields["stream"] = True
        answer = await documents.ask(await self._ready(), question, **fields)
        job.head(list(map(plain, answer.sources)))
        async with aclosing(answer):
            async for chunk in answer:
                await job.send(chunk.to_dict())

    async def _use(
        self, job: Job, documents: Documents, given: Any, prefixes: list[str] | None = None
    ) -> str | None:
        """Load an embedder in the place of the present one; its name. None: have none."""
        async with self._changing:
            before, self._engine, self._embedder = self._engine, None, None
            for each in self._open.values():
                await each.use(None)
            if before is not None:
                await before.unload()
            if given is None:
                return None
            engine = await webllm_py.load(
                source_of(given), on_progress=lambda report: job.tell(plain_progress(report))
            )
            try:
                embedder = Embedder(engine, *prefixes or ())
                for each in self._open.values():
                    await each.use(embedder, on_progress=counts(job))
            except BaseException:
                for each in self._open.values():
                    await each.use(None)
                await engine.unload()
                raise
            self._engine, self._embedder = engine, embedder
            return engine.name


async def read(file: Any) -> bytes:
    """The bytes of a browser's ``File``."""
    from webllm_py.fetch.files.picked import from_js  # which only a browser can import

    source = await from_js(file)
    if source is None or not hasattr(source, "read_all"):
        raise DocumentError("a document is added by its text, or as a File or Blob")
    return bytes(await source.read_all(MOST_BYTES))


def plain(passage: Passage) -> dict[str, Any]:
    """A passage for JSON."""
    return {**asdict(passage), "end": passage.end, "title": passage.title}


def counts(job: Job) -> Callable[[int, int], None]:
    """Tells a job of passages that are embedded."""
    return lambda loaded, total: job.tell({"stage": "passages", "loaded": loaded, "total": total})
