"""The engine: one model on one device, answering requests in the order in which they arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from webllm_py.engine.conversations import ConversationsMixin
from webllm_py.engine.core import UNLOADED
from webllm_py.engine.open_box import OpenBoxMixin
from webllm_py.engine.resources import Chat, Completions, Embeddings
from webllm_py.engine.resuming import ResumingMixin
from webllm_py.errors import (
    ContextLengthError,
    RequestError,
)
from webllm_py.fetch.options import FetchOptions
from webllm_py.loading import LoadedModel, LoadOptions, SharedDevice, load_model
from webllm_py.models.kv_cache import KVFormat
from webllm_py.runtime.weights.progress import ProgressCallback
from webllm_py.runtime.weights.storage import Quantize
from webllm_py.units import counted

if TYPE_CHECKING:
    from array import array

    from webllm_py.loading.embedder import LoadedEmbedder

__all__ = ["UNLOADED", "Engine", "load"]


async def load(
    source: Any = None,
    *,
    context_length: int | None = None,
    device: Any = None,
    on_progress: ProgressCallback | None = None,
    quantize: Quantize | None = None,
    kv_dtype: KVFormat = "f16",
    tune: bool | None = None,
    fetch: FetchOptions | None = None,
    vision: Any = None,
    sliding_window_size: int | None = None,
    attention_sink_size: int | None = None,
    chat_template: str | Mapping[str, Any] | None = None,
) -> Engine:
    """Load a language model or a text embedder. Cancelling the task that awaits this frees
    everything.

    Args:
        source: a GGUF file or a Hugging Face folder: a path, a URL, a browser ``File`` or folder,
            or ``hf:org/name[@revision][:file]``, where a GGUF file's quantization, ``:Q4_K_M``,
            will do. None: the pocket model that ships.
        context_length: the most tokens of a conversation, prompt and answer. None, or a larger
            number: as many as the model was trained for and the device can hold. Memory is taken
            as a conversation grows, not for all of it at once.
        device: "high-performance" (the default) or "low-power", or a ``webllm_py.gpu.Device`` to
            share.
        on_progress: called with a ``LoadProgress`` at every stage and piece.
        quantize: "q4" or "q8" to quantize float weights to blocks of that many bits while loading.
            Or a mapping from patterns of tensor names, as the file has them, to these or None:
            ``{"*.layers.0.*": "q8", "lm_head.weight": None, "*": "q4"}``. The first pattern that
            matches counts; gate and up, which are computed together, must be alike.
        kv_dtype: how the KV cache holds keys and values: "f16", "f32" for twice the memory, or "q8"
            (8 bits and a scale for every 32 of them) for about half.
        tune: whether to search for the fastest kernel shapes on this GPU. None: for at most 0.3 s,
            and not on a software adapter; what is found is kept for later loads. True: for as long
            as it takes, some seconds. False: use fixed defaults.
        fetch: how a server's files are downloaded and kept, see ``webllm_py.FetchOptions``. None:
            they are kept in ``webllm_py.models_store()``, and read from there the next time.
        vision: the llama.cpp projector file ("mmproj-....gguf") of a GGUF model that reads images,
            given as ``source`` is. None: the one beside the model, where ``source`` is a folder.
        sliding_window_size: instead of ``context_length``: a conversation may be longer than this
            many tokens, and its oldest ones drop out. Rounded down to whole cache pages of 32.
        attention_sink_size: how many of a conversation's first tokens never drop out (attention
            sinks, arXiv 2309.17453), rounded up to whole pages. None: 4.
        chat_template: how conversations are written, instead of what the files say: the text of a
            Jinja template, or MLC's ``conv_template`` as a mapping, which says ``roles``, ``seps``
            and so on; what it leaves out is as in the files' own ``conv_template``.

    Raises:
        WebLLMError: the base of all errors; see ``webllm_py.errors``.
        ValueError: an argument has none of the values above.
    """
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
    shared = device if isinstance(device, SharedDevice) else SharedDevice(device)
    try:
        return Engine(options, await load_model(options, shared), shared)
    except BaseException:
        shared.leave()
        raise


class Engine(ResumingMixin, OpenBoxMixin, ConversationsMixin):
    """A loaded model. Made by ``webllm_py.load``.

    ``engine.chat.completions.create``, ``engine.completions.create`` and, of a text embedder,
    ``engine.embeddings.create`` take OpenAI's fields and return OpenAI's shapes. Requests are
    answered in the order in which they come, up to 8 of them in one batch; those with a grammar or
    logits processors are answered alone.
    """

    def __new__(cls, *made: Any) -> Self:
        """Tell who guesses that this loads a model what does."""
        if not made or not isinstance(made[0], LoadOptions):
            raise TypeError("an engine is made by load: engine = await webllm_py.load(...)")
        return super().__new__(cls)

    def __init__(
        self, options: LoadOptions, model: LoadedModel | LoadedEmbedder, device: SharedDevice
    ):
        super().__init__(options, model, device)
        self.chat = Chat(self)
        self.completions = Completions(self)
        self.embeddings = Embeddings(self)

    def __repr__(self) -> str:
        if self._model is None:
            return "Engine(unloaded)"
        info = self.info
        return f"Engine({info['name']}, {info['quantization']}, on {info['adapter']})"

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.unload()

    @property
    def info(self) -> dict[str, Any]:
        """What runs where: name, architecture, quantization, sizes, memory (bytes), adapter."""
        return {**self.any_loaded.describe(), "name": self.name}

    @property
    def waiting(self) -> int:
        """Number of requests that are queued."""
        return self._queue.waiting

    @property
    def answering(self) -> int:
        """Number of requests that are being answered."""
        return self._queue.entered

    async def embed(self, texts: Sequence[Sequence[int]]) -> list[array[float]]:
        """Embed texts, once it is this call's turn.

        Args:
            texts: the token ids of each.

        Returns:
            A vector of float32 for each text.

        Raises:
            RequestError: the model is no embedder; or ``interrupt`` or ``unload`` was called
                meanwhile.
        """
        async with self._queue.join() as turn:
            found = await self._surviving(
                lambda: self.embedder.embed(texts, lambda: turn.interrupted)
            )
        if found is None:
            raise RequestError("interrupted before all texts were embedded", code="interrupted")
        return found

    def interrupt(self) -> None:
        """End the answer under way with the finish reason "abort"; where several are, the one that
        was requested first. The others go on."""
        self._queue.interrupt()

    def check_length(self, tokens: Sequence[int], param: str) -> None:
        """Refuse a prompt that leaves no room in the context for a token of answer.

        Args:
            param: what the prompt is called in the error.

        Raises:
            ContextLengthError: it leaves none.
        """
        executor = self.loaded.executor
        limit = executor.context_length
        if len(tokens) >= limit and not executor.sliding:
            shorter = self._options.context_length == limit
            raise ContextLengthError(
                f"this model's context holds {counted(limit, 'token')}, and there are "
                f"{len(tokens):,} in {param}; send fewer"
                + (", or load the model with a larger context_length" if shorter else ""),
                param=param,
            )
