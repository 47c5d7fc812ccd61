"""LoRA adapters of an engine: loaded, unloaded, and chosen by requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from webllm_py.engine.recovery import RecoveryMixin
from webllm_py.errors import AdapterError, RequestError
from webllm_py.fetch.options import FetchOptions
from webllm_py.loading import LoadedModel, LoadOptions, SharedDevice

if TYPE_CHECKING:
    from webllm_py.api import AdapterChoice
    from webllm_py.loading.embedder import LoadedEmbedder
    from webllm_py.runtime.executor import Executor
    from webllm_py.runtime.kv.pages import Mix
    from webllm_py.runtime.lora.adapters import LoadedAdapter

__all__ = ["AdaptersMixin"]


class AdaptersMixin(RecoveryMixin):
    """The part of ``Engine`` that has to do with adapters."""

    def __init__(
        self, options: LoadOptions, model: LoadedModel | LoadedEmbedder, device: SharedDevice
    ):
        super().__init__(options, model, device)
        self._adapter_sources: dict[str, tuple[Any, FetchOptions | None]] = {}

    @property
    def adapters(self) -> Mapping[str, LoadedAdapter]:
        """The adapters that are loaded, by name, in the order of their loading."""
        model = self.any_loaded
        found = model.executor.adapters if isinstance(model, LoadedModel) else None
        return MappingProxyType(found.loaded if found else {})

    async def load_adapter(
        self, source: Any, *, name: str | None = None, fetch: FetchOptions | None = None
    ) -> LoadedAdapter:
        """Load a LoRA adapter beside the model's weights, which stay as they are. Requests ask for
        it with ``adapters={"name": scale}``, or as the ``model``.

        Args:
            source: PEFT's folder (adapter_config.json, adapter_model.safetensors) or a GGUF file of
                the type "adapter", given as ``load`` takes a model.
            name: what requests call it; None for the name of the file or folder.
            fetch: how a server's files are downloaded and kept.

        Raises:
            AdapterError: its kind is not supported, it is another model's, or its name is taken.
            SourceError: the bytes cannot be had.
            CheckpointError: the files are wrong.
            GPUOutOfMemoryError: no room for it; then nothing has changed.
        """
        from webllm_py.checkpoint.adapter import open_adapter  # not before it is needed

        adapter = await open_adapter(source, fetch or FetchOptions())
        try:
            called = adapter.name if name is None else name
            await adapter.checkpoint.make_room()
            async with self._queue.join():
                if called == self.name or called in self.adapters or not called:
                    raise AdapterError(
                        f"the name {called!r} is taken; give the adapter another one, or unload "
                        "the one that has it"
                    )
                made = await added(self.loaded.executor, called, adapter)
                self._adapter_sources[called] = (source, fetch)
                return made
        finally:
            await adapter.close()

    async def unload_adapter(self, name: str) -> None:
        """Forget an adapter and free its memory, after the requests that came before.

        Raises:
            RequestError: none of that name is loaded.
        """
        async with self._queue.join():
            executor = self.loaded.executor
            if executor.adapters is None or name not in executor.adapters.loaded:
                raise missing(name, self.adapters)
            await executor.adapters.remove(name)
            self._adapter_sources.pop(name, None)

    async def _restore(self) -> None:
        await super()._restore()
        if not self._adapter_sources:
            return
        from webllm_py.checkpoint.adapter import open_adapter

        for name, (source, fetch) in self._adapter_sources.items():
            adapter = await open_adapter(source, fetch or FetchOptions())
            try:
                await added(self.loaded.executor, name, adapter)
            finally:
                await adapter.close()

    def _mix(self, choice: AdapterChoice | None, model: str | None = None) -> Mix:
        """The adapters that a request asks for, and their scales.

        Args:
            choice: the request's ``adapters`` and ``lora`` fields; None: it has neither.
            model: what it calls the model, which may be an adapter's name.

        Raises:
            RequestError: an adapter that is not loaded.
        """
        adapters = self.loaded.executor.adapters
        scales = {} if choice is None else dict(choice.names)
        names = [*(adapters.loaded if adapters else ())]
        if choice is None and model in names:
            scales = {str(model): 1.0}
        for id, scale in choice.ids.items() if choice else ():
            if id >= len(names):
                raise missing(id, names, "lora")
            scales[names[id]] = scale
        for name in scales:
            if name not in names:
                raise missing(name, names)
        return adapters.mix(scales) if adapters else ()


async def added(executor: Executor, name: str, adapter: Any) -> LoadedAdapter:
    """Put an adapter beside the weights."""
    from webllm_py.runtime.lora.adapters import Adapters

    if executor.adapters is None:
        executor.adapters = Adapters(executor)
    return await executor.adapters.add(name, adapter)


def missing(name: str | int, loaded: Iterable[str], param: str = "adapters") -> RequestError:
    """The error of an adapter that is not loaded."""
    listed = ", ".join(map(repr, loaded)) or "none"
    return RequestError(
        f"no adapter {name!r} is loaded; there are: {listed}. engine.load_adapter loads one",
        param=param,
        code="adapter_not_found",
    )
