"""A loaded model on its device: buffers that a step works in, plans recorded once and replayed."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from webllm_py.errors import DeviceLimitError, GPUOutOfMemoryError
from webllm_py.gpu.device import Device, Dispatch, Plan
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.config import ModelConfig
from webllm_py.models.graph import Activations, Graph, padded
from webllm_py.models.kv_cache import KVFormat, page_bytes, row_bytes
from webllm_py.models.llama import Llama
from webllm_py.models.rope import rope_table
from webllm_py.models.step import PAGE, StepLayout
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Weights
from webllm_py.runtime.pages import PageTable
from webllm_py.runtime.pages import Sequence as CachedSequence
from webllm_py.runtime.sampler import Sampler

__all__ = ["Executor", "longest_context"]

FIRST_PAGES = 8
# The cache grows for finished sequences up to this, or to twice what the longest one took.
KEEP_BYTES = 64 << 20


class Executor:
    """Runs a model's steps. Knows tokens and positions; nothing of text or requests.

    Args:
        context_length: the most positions a sequence may have.
        frequencies: rotary frequencies, radians a position.
    """

    def __init__(
        self,
        device: Device,
        owner: BufferOwner,
        model: Llama,
        weights: Weights,
        *,
        context_length: int,
        frequencies: Sequence[float],
        tuning: Tuning,
        kv_format: KVFormat = "f16",
    ):
        config = model.config
        self.device, self.owner, self.model, self.weights = device, owner, model, weights
        self.tuning, self.kv_format = tuning, kv_format
        self.context_length = context_length
        self.pages = PageTable(-(-context_length // PAGE))
        self.chunk = min(tuning.chunk, bucket(context_length))
        self.layout = StepLayout(self.chunk, self.pages.max_pages)
        self.sampler = Sampler(device, owner, config.vocab_size, tuning)
        self._rope_table = rope_table(frequencies, context_length)
        self.buffers = self._activations(config)
        self._plans: dict[tuple[str, int], Plan] = {}
        self._longest = 0

    def _activations(self, config: ModelConfig) -> Activations:
        make = self.owner.create
        hidden = padded(config.hidden_size)
        heads = padded(config.n_heads * config.head_dim)
        rows = 4 * self.chunk
        # Within a layer, of each pair one is read for the last time before the other is written.
        normed_or_attended = make("normed or attended", rows * max(hidden, heads))
        q_or_gated = make("q or gated", rows * max(heads, padded(config.intermediate_size)))
        partial = 4 * config.n_heads * self.tuning.splits * (config.head_dim + 2)
        return Activations(
            step=make("step", self.layout.nbytes),
            rope=make("rope table", len(self._rope_table)),
            hidden=make("hidden", rows * hidden),
            normed=normed_or_attended,
            q=q_or_gated,
            attended=normed_or_attended,
            gated=q_or_gated,
            partial=make("attention splits", partial),
            logits=make("logits", 4 * config.vocab_size),
            zeros=make("zeros", 16),
            kv_rows=make("kv rows", self.chunk * row_bytes(config, self.kv_format)),
            kv=tuple(make(f"kv {i}", 16) for i in range(config.n_layers)),
        )

    @property
    def bytes_a_page(self) -> int:
        """Bytes of a page, all layers together."""
        config = self.model.config
        return config.n_layers * page_bytes(config, self.kv_format)

    async def prepare(self) -> None:
        """Make the first pages, compile the kernels and record the plans of a usual request."""
        self.device.write(self.buffers.rope, 0, self._rope_table)
        await self._grow(FIRST_PAGES)
        await asyncio.gather(
            *(self.plan(name) for name in ("step", "head", "sample")),
            self.plan("forward", bucket(min(32, self.chunk))),
        )

    # Pages

    async def reserve(self, sequence: CachedSequence, length: int) -> None:
        """Make sure that the sequence has pages for ``length`` tokens; the cache grows for it.

        Raises:
            GPUOutOfMemoryError: no memory for more pages; the cache is as it was before.
        """
        missing, capacity = self.pages.missing(sequence, length), self.pages.capacity
        self._longest = max(self._longest, -(-length // PAGE))
        # Beyond this, finished sequences make room.
        keep = max(2 * self._longest, KEEP_BYTES // self.bytes_a_page)
        if missing and capacity < min(self.pages.max_pages, keep):
            needed = -(-length // PAGE)
            try:
                await self._grow(min(max(capacity + missing, capacity * 3 // 2), keep))
            except GPUOutOfMemoryError:
                # Without room to spare; or with none where finished sequences can make room.
                if capacity < needed:
                    await self._grow(needed)
        self.write_pages(self.pages.reserve(sequence, length))

    async def _grow(self, pages: int) -> None:
        """Give every layer's cache room for so many pages, keeping what is there.

        One layer after the other, so that only one is there twice. When one fails, those before it
        have more room than is used.
        """
        pages = min(pages, self.pages.max_pages)
        size = page_bytes(self.model.config, self.kv_format)
        self.drop_plans()
        for i, old in enumerate(self.buffers.kv):
            grown = self.owner.create(f"kv {i}", pages * size)
            try:
                await self.device.check()
                if self.pages.capacity:
                    self.device.copy(old, grown, self.pages.capacity * size)
            except BaseException:
                self.owner.free(grown)
                raise
            kv = self.buffers.kv
            self.buffers = replace(self.buffers, kv=(*kv[:i], grown, *kv[i + 1 :]))
            self.owner.free(old)
        self.pages.grow_to(pages)

    def begin(self, tokens: Sequence[int]) -> CachedSequence:
        """The longest cached prefix of a prompt, in the page table and ready to be extended."""
        sequence = self.pages.begin(tokens)
        self.write_pages(list(enumerate(sequence.pages)))
        return sequence

    def write_pages(self, pages: Sequence[tuple[int, int]]) -> None:
        """Put (logical, physical) pages into the page table."""
        for logical, physical in pages:
            offset = self.layout.pages_offset(logical)
            self.device.write(self.buffers.step, offset, struct.pack("<I", physical))

    # Steps

    def write_rows(self, tokens: Sequence[int], position: int, drawn: int = 0) -> None:
        """Say what the next step computes: consecutive tokens, the first at ``position``."""
        self.device.write(self.buffers.step, 0, self.layout.rows(tokens, position, drawn))

    async def prefill(
        self, sequence: CachedSequence, tokens: Sequence[int]
    ) -> AsyncIterator[CachedSequence]:
        """Compute the keys and values of tokens that follow the sequence, a chunk at a time.

        At most two chunks are queued, so that stopping between them is quick. The hidden rows of
        the last chunk stay for ``head``.
        """
        for start in range(0, len(tokens), self.chunk):
            part = tokens[start : start + self.chunk]
            await self.reserve(sequence, len(sequence.tokens) + len(part))
            plan = await self.plan("forward", bucket(len(part)))
            self.write_rows(part, len(sequence.tokens))
            if start:
                await self.device.idle()
            self.device.replay(plan)
            sequence.tokens += part
            yield sequence

    async def plan(self, name: str, rows: int = 1) -> Plan:
        """A recorded plan: "forward" of so many rows, "head" (logits of the last row), "sample",
        "logits" (forward and head of single rows) or "step" (all three)."""
        if (name, rows) not in self._plans:
            self._plans[name, rows] = await self.device.record(name, self._dispatches(name, rows))
        return self._plans[name, rows]

    def _dispatches(self, name: str, rows: int) -> list[Dispatch]:
        graph = self.graph(rows)
        sample = self.sampler.dispatches(self.buffers.logits, self.buffers.step)
        match name:
            case "forward":
                self.model.forward(graph)
            case "head":
                graph.pick_last_row()
                self.model.head(graph)
            case "sample":
                return sample
            case "logits" | "step":
                self.model.forward(graph)
                self.model.head(graph)
                graph.dispatches += sample if name == "step" else []
        return graph.dispatches

    def graph(self, rows: int, *, kv_format: KVFormat | None = None, **others: Any) -> Graph:
        """An empty graph over this executor's buffers, or others in the place of some."""
        return Graph(
            rows,
            config=self.model.config,
            weights=self.weights,
            buffers=replace(self.buffers, **others),
            layout=self.layout,
            device=self.device,
            tuning=self.tuning,
            kv_format=kv_format or self.kv_format,
        )

    def drop_plans(self) -> None:
        """Forget recorded plans, whose buffers are gone."""
        for plan in self._plans.values():
            self.device.drop(plan)
        self._plans.clear()


def bucket(rows: int) -> int:
    """The chunk size that so many rows are computed in: few sizes, so that plans are reused."""
    if rows == 1:
        return 1
    unit = 32 if rows <= 64 else 64
    return -(-rows // unit) * unit


def longest_context(config: ModelConfig, device: Device, kv_format: KVFormat) -> int:
    """The longest context whose cache one binding of the device can hold.

    Raises:
        DeviceLimitError: not even one page fits.
    """
    limit = min(device.limits.max_storage_buffer_binding_size, device.limits.max_buffer_size)
    positions = limit // page_bytes(config, kv_format) * PAGE
    if not positions:
        raise DeviceLimitError(
            f"a page of this model's cache does not fit in the {limit >> 20} MiB that "
            f"{device.info.name} binds at once"
        )
    return positions
