"""Several models in one engine, on one device: each has its own queue of requests, so that they
answer side by side."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any, Self

from webllm_py.engine.adapters import AdaptersMixin
from webllm_py.engine.core import UNLOADED
from webllm_py.errors import EngineClosedError, RequestError
from webllm_py.loading import LoadOptions, load_model

if TYPE_CHECKING:
    from webllm_py.fetch.options import FetchOptions
    from webllm_py.loading import LoadedModel, SharedDevice
    from webllm_py.loading.embedder import LoadedEmbedder
    from webllm_py.models.kv_cache import KVFormat
    from webllm_py.runtime.weights.progress import ProgressCallback
    from webllm_py.runtime.weights.storage import Quantize

__all__ = ["SeveralModelsMixin"]


class SeveralModelsMixin(AdaptersMixin):
    """The part of ``Engine`` that has other models beside its own."""

    def __init__(
        self, options: LoadOptions, model: LoadedModel | LoadedEmbedder, device: SharedDevice
    ):
        super().__init__(options, model, device)
        self._added: dict[str, Self] = {}
        self._promised: set[str] = set()  # names of models that are still being loaded
        self._main: Self | None = None

    @property
    def models(self) -> Mapping[str, Self]:
        """The engine's models by the names that requests choose them by, its first one first. Each
        is an engine of its own, with that model's ``tokenizer``, ``info``, ``logits`` and so on.
        """
        return {self.name: self, **self._added}

    async def add_model(
        self,
        source: Any = None,
        *,
        name: str | None = None,
        context_length: int | None = None,
        on_progress: ProgressCallback | None = None,
        quantize: Quantize | None = None,
        kv_dtype: KVFormat = "f16",
        tune: bool | None = None,
        fetch: FetchOptions | None = None,
        vision: Any = None,
        sliding_window_size: int | None = None,
        attention_sink_size: int | None = None,
        chat_template: str | Mapping[str, Any] | None = None,
    ) -> Self:
        """Load another language model or embedder beside the first, on the same device::

            await engine.add_model("embedder.gguf", name="embedder")
            await engine.embeddings.create(model="embedder", input="Hello")

        From then on the ``model`` of a request chooses, and must be one of ``engine.models``;
        without one the first model answers. Requests to different models are answered at the same
        time.

        Args:
            name: what requests call it; None for its own name, with "-2" appended if that is
                taken.

        The other arguments are those of ``webllm_py.load``.

        Returns:
            The model as an engine of its own, whose ``unload`` removes it.

        Raises:
            WebLLMError: as ``load`` does.
            ValueError: the name is taken, also by a model that still loads, or is no string.
        """
        if not isinstance(name, str | None):
            raise ValueError(f"the name of a model must be a string, not {name!r}")
        if name in {*self.models, *self._promised}:
            raise ValueError(f"this engine has a model {name!r} already; give another name")
        options = LoadOptions(
            source,
            context_length,
            on_progress,
            quantize,
            kv_dtype,
            tune,
            fetch,
            vision,
            sliding_window_size,
            attention_sink_size,
            chat_template,
        )
        promised = {name} if name else set()
        self._promised |= promised
        try:
            return await self._load_beside(options, name)
        finally:
            self._promised -= promised

    async def _load_beside(self, options: LoadOptions, name: str | None) -> Self:
        loaded = await load_model(options, self._device)
        engine = type(self)(options, loaded, self._device)
        engine._main = self
        if self._unloaded:
            await engine.unload()
            raise EngineClosedError(UNLOADED)
        engine._name = name or free_name(engine.name, {*self.models, *self._promised})
        self._added[engine._name] = engine
        return engine

    def chosen(self, name: Any) -> Self:
        """The model that answers a request with this ``model``.

        Raises:
            RequestError: there are several, and none of this name.
        """
        if name is None or not self._added or not isinstance(name, str):
            return self
        models = self.models
        for model in models.values() if name not in models else ():
            if name in model.adapters:
                return model
        if name not in models:
            raise RequestError(
                f"there is no model {name!r} here, only {', '.join(map(repr, models))}",
                param="model",
                code="model_not_found",
            )
        return models[name]

    async def unload(self) -> None:
        """Free everything, models that were added too; an added model frees only itself. Answers
        under way are interrupted; queued requests get an ``EngineClosedError``."""
        self._unloaded = True
        if self._main and self._name:
            self._main._added.pop(self._name, None)
        for engine in [*self._added.values()]:
            await engine.unload()
        await super().unload()
        if self._main is None:
            self._device.leave()


def free_name(wanted: str, taken: Container[str]) -> str:
    """The name, or the first with a number behind it that is not taken."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name
