"""What a page may ask of an engine besides answers: models to add, adapters, answers that were cut
off."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from webllm_py.errors import RequestError
from webllm_py.web.conversions import load_options, plain_info, plain_progress, source_of
from webllm_py.web.job import Job

__all__ = ["EngineActions"]


class EngineActions:
    """Jobs of the kind "engine", each an ``action`` of the list below.

    Args:
        ready: gives the engine, once no load is under way.
    """

    def __init__(self, ready: Callable[[], Awaitable[Any]]):
        self._ready = ready

    async def do(self, job: Job, action: str, given: Any = None, **fields: Any) -> Any:
        """Do an action; what it returns goes to the page as JSON."""
        actions: dict[str, Callable[..., Awaitable[Any]]] = {
            "models": self._models,
            "add_model": self._add_model,
            "remove_model": self._remove_model,
            "close_files": self._close_files,
            "load_adapter": self._load_adapter,
            "unload_adapter": self._unload_adapter,
            "unfinished": self._unfinished,
            "resume": self._resume,
            "forget": self._forget,
        }
        return await actions[action](job, await self._ready(), given, **fields)

    async def _models(self, job: Job, engine: Any, given: Any) -> dict[str, Any]:
        return {
            name: {**plain_info(model), "adapters": [*model.adapters]}
            for name, model in engine.models.items()
        }

    async def _add_model(
        self, job: Job, engine: Any, given: Any, options: dict[str, Any], name: str | None = None
    ) -> dict[str, Any]:
        model = await engine.add_model(
            source_of(given),
            name=name,
            on_progress=lambda report: job.tell(plain_progress(report)),
            **load_options(options),
        )
        return plain_info(model)

    async def _remove_model(self, job: Job, engine: Any, given: Any, name: str) -> None:
        model = engine.models.get(name)
        if model is None or model is engine:
            others = ", ".join(repr(other) for other in [*engine.models][1:]) or "none"
            raise RequestError(
                f"there is no model {name!r} beside the first one; there are: {others}",
                param="name",
                code="model_not_found",
            )
        await model.unload()

    async def _close_files(self, job: Job, engine: Any, given: Any) -> None:
        for model in engine.models.values():
            await model.any_loaded.checkpoint.close()

    async def _load_adapter(
        self,
        job: Job,
        engine: Any,
        given: Any,
        options: dict[str, Any],
        name: str | None = None,
        model: str | None = None,
    ) -> dict[str, Any]:
        adapter = await engine.chosen(model).load_adapter(
            source_of(given), name=name, **load_options(options)
        )
        return asdict(adapter)

    async def _unload_adapter(
        self, job: Job, engine: Any, given: Any, name: str, model: str | None = None
    ) -> None:
        await engine.chosen(model).unload_adapter(name)

    async def _unfinished(self, job: Job, engine: Any, given: Any) -> list[dict[str, Any]]:
        return [asdict(answer) for answer in await engine.unfinished()]

    async def _resume(self, job: Job, engine: Any, given: Any, name: str | None = None) -> None:
        answer = await engine.resume(name)
        job.head(answer is not None)
        if answer is not None:
            async with aclosing(answer) as chunks:
                async for chunk in chunks:
                    await job.send(chunk.to_dict())

    async def _forget(self, job: Job, engine: Any, given: Any, name: str) -> None:
        await engine.forget(name)
