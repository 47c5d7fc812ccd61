"""What all parts of an engine work on: one model on one device, and the queue of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webllm_py.engine.request_queue import RequestQueue
from webllm_py.errors import EngineClosedError, RequestError
from webllm_py.loading import LoadedModel, LoadOptions, SharedDevice
from webllm_py.models import ENCODERS
from webllm_py.tokenizer import Tokenizer

if TYPE_CHECKING:
    from webllm_py.loading.embedder import LoadedEmbedder
    from webllm_py.runtime.embedding.embeds import Embeds

__all__ = ["UNLOADED", "EngineCore"]

UNLOADED = "this engine was unloaded; load the model again"


class EngineCore:
    """The base of the parts of ``Engine``.

    Args:
        options: what the model was loaded with, and would be loaded again with.
    """

    def __init__(
        self, options: LoadOptions, model: LoadedModel | LoadedEmbedder, device: SharedDevice
    ):
        self._options = options
        self._device = device
        self._model: LoadedModel | LoadedEmbedder | None = model
        self._queue = RequestQueue()
        self._name: str | None = None  # another one than the checkpoint's
        self._unloaded = False

    @property
    def any_loaded(self) -> LoadedModel | LoadedEmbedder:
        """The parts of the loaded model, a language model or an embedder.

        Raises:
            EngineClosedError: it was unloaded, or could not be recovered.
        """
        if self._model is None:
            raise EngineClosedError(
                UNLOADED if self._unloaded else "recovering this engine failed; try it again"
            )
        return self._model

    @property
    def writes(self) -> bool:
        """Whether its model generates text; an encoder does not."""
        return isinstance(self.any_loaded, LoadedModel)

    @property
    def loaded(self) -> LoadedModel:
        """The parts of a loaded language model.

        Raises:
            EngineClosedError: it was unloaded, or could not be recovered.
            RequestError: it is a text embedder.
        """
        model = self.any_loaded
        if not isinstance(model, LoadedModel):
            raise RequestError(
                f"{self.name} is a text embedder: it writes nothing. Call engine.embeddings.create "
                "of it, or load a model that writes",
                param="model",
                code="model_not_supported",
            )
        return model

    @property
    def embedder(self) -> Embeds:
        """What embeds texts.

        Raises:
            EngineClosedError: it was unloaded, or could not be recovered.
            RequestError: the model is no embedder.
            UnsupportedModelError: it is one that this version does not run.
        """
        embedder = self.any_loaded.embedder
        if embedder is None:
            raise RequestError(
                f"{self.name} writes text and was not trained to embed it. Load a text embedder "
                f"(architectures {', '.join(ENCODERS)}: MiniLM, BGE, E5, Arctic-Embed; or one that "
                "says how it pools, as Qwen3-Embedding does)",
                param="model",
                code="model_not_supported",
            )
        return embedder

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer: ``encode(text)`` and ``decode(ids)``."""
        return self.any_loaded.tokenizer

    @property
    def name(self) -> str:
        """The model's name, as responses give it."""
        return self._name or self.any_loaded.checkpoint.name

    async def _restore(self) -> None:
        """Give a model that was loaded again what the one before had besides its weights."""
