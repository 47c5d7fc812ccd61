"""Models that are ready to run, and what only some requests need of a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from webllm_py.checkpoint import Checkpoint
from webllm_py.errors import TemplateError
from webllm_py.gpu.describe import describe_device
from webllm_py.gpu.owner import BufferOwner
from webllm_py.loading.texts import TOOL_USE, template_of
from webllm_py.models.linear import Gemm
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning.report import TuningReport
from webllm_py.runtime.weights.progress import LoadTimes
from webllm_py.runtime.weights.storage import Quantize, quantization_label
from webllm_py.tokenizer import Tokenizer

if TYPE_CHECKING:
    from webllm_py.chat.dialect import Dialect
    from webllm_py.grammar import TokenMasks
    from webllm_py.images.layout import Processor
    from webllm_py.models.bert import Bert
    from webllm_py.models.transformer import Transformer
    from webllm_py.runtime.embedding.embeds import Embeds

__all__ = ["Loaded", "LoadedModel"]

# What is said of each way to multiply chunks of a prompt.
PROMPTS: Mapping[Gemm, str] = {
    "plain": "",
    "dot4": ", prompts in 8 bits",
    "matrices": ", prompts by subgroup matrices",
}


def rounded(executor: Executor) -> str:
    """What is said of how an executor multiplies."""
    decoding = ", decoding in 8 bits" if executor.tuning.rounds else ""
    return PROMPTS[executor.gemm] + decoding


@dataclass(frozen=True)
class Loaded:
    """What every model has that is ready to run.

    Attributes:
        quantize: what its float weights were made while loading, see ``webllm_py.load``.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    owner: BufferOwner
    times: LoadTimes
    quantize: Quantize | None

    def described(self, model: Transformer | Bert, context_length: int) -> dict[str, Any]:
        """What runs where, of any model, as plain values; bytes and counts as whole numbers."""
        config = model.config
        return {
            "name": self.checkpoint.name,
            "architecture": config.architecture,
            "quantization": quantization_label(model.formats, self.quantize),
            "parameters": model.n_parameters,
            "vocab_size": config.vocab_size,
            "n_layers": config.n_layers,
            "hidden_size": config.hidden_size,
            "context_length": context_length,
            "trained_context_length": config.context_length,
            "file_bytes": model.nbytes,
            "gpu_memory": self.owner.nbytes,
            "load_times": self.times.seconds,
            **describe_device(self.owner.device),
        }


@dataclass(frozen=True)
class LoadedModel(Loaded):
    """Everything that an engine runs a model with.

    Attributes:
        sampling: settings that the checkpoint recommends.
        tuning: None if it runs with fixed defaults.
    """

    sampling: Mapping[str, Any]
    executor: Executor
    tuning: TuningReport | None = None

    @cached_property
    def dialect(self) -> Dialect:
        """How the model talks, made when the first chat needs it: text completions need none.

        Raises:
            TemplateError: the checkpoint's template cannot be used.
        """
        return self._dialect()

    @cached_property
    def tool_dialect(self) -> Dialect:
        """How it talks where it is shown tools, for which it may have a template of its own.

        Raises:
            TemplateError: that cannot be used.
        """
        if TOOL_USE not in self.checkpoint.named_templates:
            return self.dialect
        return self._dialect(beside=self.dialect)

    def _dialect(self, beside: Dialect | None = None) -> Dialect:
        from webllm_py.chat.dialect import Dialect  # not before it is needed, see webllm_py.chat

        tokenizer, processor = self.tokenizer, self.processor
        return Dialect(
            template_of(self.checkpoint, tokenizer, tools=beside is not None),
            lambda text: tokenizer.token_id(text) is not None,
            lambda text: tokenizer.token_id(text) in tokenizer.special_ids - tokenizer.end_ids,
            placeholder=processor.placeholder if processor else "",
            beside=beside,
        )

    @property
    def processor(self) -> Processor | None:
        """What lays images out, if the model sees."""
        images = self.executor.images
        return images.encoder.model.processor if images else None

    @cached_property
    def controls(self) -> dict[int, int]:
        """Control tokens that mean something in an answer, and the byte of each in grammars."""
        try:
            found = self.tool_dialect.controls
        except TemplateError:  # which chats get to see; a text completion has nothing to do with it
            return {}
        ids = {self.tokenizer.token_id(text): byte for text, byte in found.items()}
        return {id: byte for id, byte in ids.items() if id is not None}

    @cached_property
    def token_masks(self) -> TokenMasks:
        """What grammars know of the vocabulary; the first mask takes some seconds for a large one
        in a browser."""
        # not before they are needed, see api/requests.py
        from webllm_py.grammar import TokenMasks
        from webllm_py.loading.token_texts import TokenTexts

        size = self.executor.model.config.vocab_size
        texts = TokenTexts(self.tokenizer, size, self.controls)
        return TokenMasks(texts, [id for id in self.tokenizer.end_ids if id < size])

    @cached_property
    def embedder(self) -> Embeds | None:
        """What embeds texts, if the model was trained for that.

        Raises:
            UnsupportedModelError: it pools in a way that this version does not run.
        """
        # Not before it is needed.
        from webllm_py.runtime.embedding.decoder_embedder import embedder_of

        return embedder_of(self.checkpoint, self.executor)

    def describe(self) -> dict[str, Any]:
        """What runs where, as plain values; bytes and counts as whole numbers."""
        executor = self.executor
        common = self.described(executor.model, executor.context_length)
        images = executor.images
        return {
            **common,
            "vision": images.encoder.model.config.architecture if images else None,
            "kv_dtype": executor.kv_format,
            "kernels": common["kernels"] + rounded(executor),
            "tuning": str(self.tuning or "off"),
            "tuned_shapes": {name: list(shape) for name, shape in executor.tuning.chosen.items()},
        }

    async def close(self) -> None:
        """Free the GPU's memory and close the files. The device is the engine's."""
        await self.executor.close()
        self.owner.free_all()
        await self.checkpoint.close()
