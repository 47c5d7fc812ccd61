"""From an opened checkpoint to a text encoder that is ready: weights, kernels, tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from webllm_py.checkpoint import Checkpoint
from webllm_py.gpu.describe import describe_device
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.bert import Bert
from webllm_py.models.tuning import tuning_for
from webllm_py.runtime.embedder import Embedder
from webllm_py.runtime.loader import place_weights
from webllm_py.runtime.progress import LoadTimes, ProgressReporter
from webllm_py.runtime.storage import Quantize, quantization_label
from webllm_py.together import together
from webllm_py.tokenizer import Tokenizer

__all__ = ["LoadedEmbedder", "load_embedder"]


@dataclass(frozen=True)
class LoadedEmbedder:
    """Everything that an engine embeds texts with."""

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    embedder: Embedder
    owner: BufferOwner
    times: LoadTimes
    quantize: Quantize | None = None

    def describe(self) -> dict[str, Any]:
        """What runs where, as plain values; bytes and counts as whole numbers."""
        model = self.embedder.model
        config = model.config
        return {
            "name": self.checkpoint.name,
            "architecture": config.architecture,
            "quantization": quantization_label(model.formats, self.quantize),
            "parameters": model.n_parameters,
            "vocab_size": config.vocab_size,
            "n_layers": config.n_layers,
            "hidden_size": config.hidden_size,
            "context_length": self.embedder.context_length,
            "trained_context_length": config.context_length,
            "pooling": config.pooling,
            "normalized": config.normalize,
            "file_bytes": model.nbytes,
            "gpu_memory": self.owner.nbytes,
            "load_times": self.times.seconds,
            **describe_device(self.owner.device),
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
    report: ProgressReporter,
    read_tokenizer: Callable[[], Tokenizer],
    *,
    context_length: int | None,
    quantize: Quantize | None,
) -> LoadedEmbedder:
    """Bring an encoder to the GPU, compile its kernels meanwhile, and read its tokenizer.

    Raises:
        WebLLMError: every error of files, tokenizer and GPU; the caller frees what ``owner`` has.
    """
    device, times = owner.device, report.times
    longest = model.config.context_length
    weights, loader = place_weights(device, owner, model, report, quantize)
    embedder = Embedder(
        device,
        owner,
        model,
        weights,
        context_length=min(context_length or longest, longest),
        tuning=tuning_for(device),
    )
    await device.check()
    read: list[Tokenizer] = []

    def tokenizer() -> None:
        report.stage("tokenizer", "Reading the tokenizer")
        with times.measure("tokenizer"):
            read.append(read_tokenizer())
        report.stage("weights", "Loading the weights", total=loader.nbytes)

    async def load_weights() -> None:
        with times.measure("weights"):
            await loader.run(tokenizer)
            await checkpoint.verify()
        report.stage("kernels", "Compiling the kernels")

    async def prepare() -> None:
        with times.measure("kernels"):
            await embedder.prepare()

    await together(loader.compile(), prepare(), load_weights())
    times.seconds["waited"] = loader.waited
    return LoadedEmbedder(checkpoint, read[0], embedder, owner, times, quantize)
