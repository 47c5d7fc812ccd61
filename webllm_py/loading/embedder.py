"""From an opened checkpoint to a text encoder that is ready: weights, kernels, tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from webllm_py.checkpoint import Checkpoint
from webllm_py.gpu.owner import BufferOwner
from webllm_py.loading.loaded import Loaded
from webllm_py.loading.options import LoadOptions
from webllm_py.loading.weights import load_weights
from webllm_py.models.bert import Bert
from webllm_py.models.tuning import tuning_for
from webllm_py.runtime.embedding.embedder import Embedder
from webllm_py.runtime.weights.loader import place_weights
from webllm_py.runtime.weights.progress import ProgressReporter

__all__ = ["LoadedEmbedder", "load_embedder"]


@dataclass(frozen=True)
class LoadedEmbedder(Loaded):
    """Everything that an engine embeds texts with."""

    embedder: Embedder

    def describe(self) -> dict[str, Any]:
        """What runs where, as plain values; bytes and counts as whole numbers."""
        model = self.embedder.model
        return {
            **self.described(model, self.embedder.context_length),
            "pooling": model.config.pooling,
            "normalized": model.config.normalize,
        }

    async def close(self) -> None:
        """Free the GPU's memory and close the files. The device is the engine's."""
        self.embedder.drop_plans()
        self.owner.free_all()
        await self.checkpoint.close()


async def load_embedder(
    checkpoint: Checkpoint,
    model: Bert,
    owner: BufferOwner,
    options: LoadOptions,
    report: ProgressReporter,
) -> LoadedEmbedder:
    """Bring an encoder to the GPU, compile its kernels meanwhile, and read its tokenizer.

    Raises:
        WebLLMError: every error of files, tokenizer and GPU; the caller frees what ``owner`` has.
    """
    device, config = owner.device, model.config
    weights, loader = place_weights(device, owner, model, report, options.quantize)
    embedder = Embedder(
        device,
        owner,
        model,
        weights,
        context_length=min(options.context_length or config.context_length, config.context_length),
        tuning=tuning_for(device),
    )
    loader.begin()
    await device.check()
    tokenizer = await load_weights(loader, checkpoint, config.vocab_size, report, embedder.prepare)
    return LoadedEmbedder(
        checkpoint, tokenizer, owner, report.times, options.quantize, embedder=embedder
    )
