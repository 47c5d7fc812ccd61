"""How much GPU memory a model takes, before any of it is taken.

The buffers are made exactly as when loading, on a device that only adds up their sizes: the two
cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from webllm_py.errors import DeviceLimitError
from webllm_py.fetch.source import Chunk
from webllm_py.gpu.device import AdapterInfo, Buffer, Device, Limits, checked_size
from webllm_py.gpu.kernels import Variant
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.bert import Bert
from webllm_py.models.kv_cache import KVFormat, longest_context
from webllm_py.models.step import PAGE
from webllm_py.models.transformer import Transformer
from webllm_py.models.tuning import tuning_for
from webllm_py.runtime.embedding.embedder import Embedder
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.kv.cache import FIRST_PAGES
from webllm_py.runtime.sampling.automaton import tables_bytes
from webllm_py.runtime.vision.images import add_images
from webllm_py.runtime.weights.loader import place_weights
from webllm_py.runtime.weights.pieces import HEADERS_BYTES, staging_bytes
from webllm_py.runtime.weights.progress import ProgressReporter
from webllm_py.runtime.weights.storage import Quantize

__all__ = [
    "EncoderMemory",
    "MemoryPlan",
    "SizingDevice",
    "fitting_context",
    "plan_encoder_memory",
    "plan_memory",
]


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes on the GPU, by what they are for.

    Attributes:
        weights: the model's matrices and vectors, as the kernels read them.
        work: what a step works in: activations, logits, sampler, rotary table; the first states of
            recurrent layers.
        page: one page of the KV cache, all layers together.
        staging: what the weights go through while they are loaded.
        context_length: the most positions of a conversation.
        later: more states of recurrent layers, kept for prompts that begin as others did.
        grammar: what the first answer under a grammar takes besides, and all others use.
    """

    weights: int
    work: int
    page: int
    staging: int
    context_length: int
    later: int = 0
    grammar: int = 0

    def cache(self, positions: int) -> int:
        """Bytes of the KV cache of ``positions``, rounded up to whole pages."""
        return -(-positions // PAGE) * self.page

    @property
    def loaded(self) -> int:
        """Right after loading: the cache has its first pages."""
        first = min(FIRST_PAGES * PAGE, self.context_length)
        return self.weights + self.work + self.cache(first)

    @property
    def whole(self) -> int:
        """With a conversation that fills the context."""
        return self.weights + self.work + self.cache(self.context_length) + self.later


@dataclass(frozen=True)
class EncoderMemory:
    """Bytes on the GPU of a text encoder, which keeps nothing between texts.

    Attributes:
        weights: the model's matrices and vectors, as the kernels read them.
        work: what a usual pass works in.
        most_work: what the longest text takes instead.
        context_length: the most tokens of a text.
    """

    weights: int
    work: int
    most_work: int
    context_length: int

    @property
    def loaded(self) -> int:
        """Right after loading."""
        return self.weights + self.work

    @property
    def whole(self) -> int:
        """After the longest text."""
        return self.weights + self.most_work


class SizingDevice:
    """The part of a ``Device`` that makes buffers, without the memory.

    Args:
        limits, info, variant: of the device to stand for. Without them: one that binds up to 2 GiB.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        info: AdapterInfo | None = None,
        variant: Variant | None = None,
    ):
        self.limits = limits or Limits(2**31, 2**31)
        self.info = info or AdapterInfo("no GPU", "", "")
        self.variant = variant or Variant()

    def create_buffer(self, label: str, size: int) -> Buffer:
        """A buffer that is only a size; errors as the device's own."""
        return Buffer(label, checked_size(label, size, cast(Device, self)), None)

    def write(self, buffer: Buffer, offset: int, data: Chunk) -> None:
        """Nothing is kept."""


def plan_memory(
    model: Transformer,
    device: Device | SizingDevice,
    *,
    context_length: int | None = None,
    quantize: Quantize | None = None,
    kv_format: KVFormat = "f16",
) -> MemoryPlan:
    """The memory that a model will take on a device; arguments as ``webllm_py.load`` has them.

    Raises:
        DeviceLimitError: a buffer is over the device's limits.
    """
    config = model.config
    sizing = cast(Device, SizingDevice(device.limits, device.info, device.variant))
    owner = BufferOwner(sizing)
    longest = min(config.context_length, longest_context(config, sizing, kv_format))
    weights, loader = place_weights(sizing, owner, model, ProgressReporter(None), quantize)
    weight_bytes = owner.nbytes
    context = min(context_length or longest, longest)
    executor = Executor(
        sizing,
        owner,
        model,
        weights,
        context_length=context,
        rotations=model.rotations(context),
        tuning=tuning_for(sizing),
        kv_format=kv_format,
    )
    cache = sum(executor.buffers.kv[layer].size for layer in executor.cache.paged)
    work = owner.nbytes - weight_bytes - cache
    if model.vision:
        before = owner.nbytes
        add_images(executor, model.vision, loader)
        weight_bytes += owner.nbytes - before
        if executor.images:
            work += sum(executor.images.encoder.sizes().values())  # taken for the first image
    return MemoryPlan(
        weights=weight_bytes,
        work=work,
        page=executor.cache.bytes_a_page,
        staging=staging_bytes(sizing, loader.pieces),
        context_length=executor.context_length,
        later=executor.cache.later_bytes,
        grammar=tables_bytes(executor.decoder.sampler),
    )


def fitting_context(
    model: Transformer,
    device: Device,
    most_bytes: int | None = None,
    *,
    context_length: int | None = None,
    quantize: Quantize | None = None,
    kv_format: KVFormat = "f16",
) -> int | None:
    """The longest context, in whole pages, that a device has room for; None if not even one page
    fits.

    Args:
        most_bytes: of all of it, with a conversation that fills the context; None for as much as
            the device's limits allow.

    The other arguments are those of ``plan_memory``; nothing longer than ``context_length`` is
    looked for.
    """
    wanted = min(context_length or model.config.context_length, model.config.context_length)

    def fits(pages: int) -> bool:
        length = pages * PAGE
        try:
            plan = plan_memory(
                model, device, context_length=length, quantize=quantize, kv_format=kv_format
            )
        except DeviceLimitError:
            return False
        # While the cache grows, one layer of it is there twice; while loading, what is staged.
        twice = plan.cache(length) // model.config.n_layers
        fills = plan.context_length >= length
        loading = plan.loaded + plan.staging + HEADERS_BYTES
        # Not what a grammar takes: a model that has no room for that answers without one.
        return fills and (most_bytes is None or max(plan.whole + twice, loading) <= most_bytes)

    least, most = 0, wanted // PAGE
    while least < most:
        middle = (least + most + 1) // 2
        if fits(middle):
            least = middle
        else:
            most = middle - 1
    return least * PAGE or None


def plan_encoder_memory(
    model: Bert,
    device: Device | SizingDevice,
    *,
    context_length: int | None = None,
    quantize: Quantize | None = None,
) -> EncoderMemory:
    """As ``plan_memory``, of a text encoder."""
    sizing = cast(Device, SizingDevice(device.limits, device.info, device.variant))
    owner = BufferOwner(sizing)
    weights, _ = place_weights(sizing, owner, model, ProgressReporter(None), quantize)
    weight_bytes = owner.nbytes
    trained = model.config.context_length
    context = min(context_length or trained, trained)
    embedder = Embedder(
        sizing, owner, model, weights, context_length=context, tuning=tuning_for(sizing)
    )
    work = owner.nbytes - weight_bytes
    longest = sum(embedder.sizes(embedder.bucket(context)).values())
    return EncoderMemory(weight_bytes, work, max(work, longest), context)
