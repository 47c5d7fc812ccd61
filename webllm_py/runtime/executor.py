"""A loaded model on its device: buffers that a step works in, plans recorded once and replayed."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from webllm_py.errors import DeviceLimitError, GPUOutOfMemoryError
from webllm_py.gpu.device import Device, Dispatch, Plan
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.config import ModelConfig
from webllm_py.models.graph import Activations, Graph, padded
from webllm_py.models.kv_cache import KVFormat, page_bytes, row_bytes
from webllm_py.models.llama import Llama
from webllm_py.models.rope import rope_table
from webllm_py.models.step import PAGE, SLOTS, Row, StepLayout
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Weights
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.pages import PageTable
from webllm_py.runtime.pages import Sequence as CachedSequence

__all__ = ["Executor", "longest_context"]

FIRST_PAGES = 8
# Tokens of prompts whose kernels are compiled while loading.
USUAL_PROMPTS = (32, 64)
# The cache grows for finished sequences up to this, or to twice what those under way took, but not
# past a whole context.
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
        own_pages = -(-context_length // PAGE)
        bindable = longest_context(config, device, kv_format) // PAGE
        self.pages = PageTable(min(bindable, SLOTS * own_pages))
        self.chunk = min(tuning.chunk, self.bucket(context_length))
        self.layout = StepLayout(self.chunk, own_pages)
        self._rope_table = rope_table(frequencies, context_length)
        self.buffers = self._activations(config)
        self.decoder = Decoder(self, owner, logits=self.buffers.logits)
        self._plans: dict[tuple[object, str, int], Plan] = {}
        self._most_running = 0
        self._last_row = 0

    def _activations(self, config: ModelConfig) -> Activations:
        make = self.owner.create
        hidden = padded(config.hidden_size)
        heads = padded(config.n_heads * config.head_dim)
        rows = 4 * self.chunk
        # Within a layer, of each pair one is read for the last time before the other is written.
        normed_or_attended = make("normed or attended", rows * max(hidden, heads))
        q_or_gated = make("q or gated", rows * max(heads, padded(config.intermediate_size)))
        splits = max(self.tuning.splits, self.tuning.partials)
        partial = 4 * config.n_heads * splits * (config.head_dim + 2)
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
        await self._grow(min(FIRST_PAGES, self.layout.max_pages))
        await asyncio.gather(
            *(self.decoder.plan(name) for name in ("step", "head", "first")),
            *(self.forward_plan(min(rows, self.chunk)) for rows in USUAL_PROMPTS),
        )

    # Pages

    async def reserve(self, sequence: CachedSequence, length: int, slot: int = 0) -> None:
        """Make sure that the sequence has pages for ``length`` tokens; the cache grows for it.

        Raises:
            GPUOutOfMemoryError: no memory for more pages; the cache is as it was before.
        """
        added = -(-length // PAGE) - len(sequence.pages)
        if added <= 0:
            return
        needed = self.pages.running + added
        self._most_running = max(self._most_running, needed)
        missing, capacity = self.pages.missing(sequence, length), self.pages.capacity
        if missing:
            # Beyond this, finished sequences make room.
            keep = max(2 * self._most_running, KEEP_BYTES // self.bytes_a_page)
            keep = max(self._most_running, min(keep, self.layout.max_pages))
            if capacity < keep:
                try:
                    await self._grow(min(max(capacity + missing, capacity * 3 // 2), keep))
                except GPUOutOfMemoryError:
                    # Without room to spare; or with none where finished sequences can make room.
                    if capacity < needed:
                        await self._grow(needed)
        self.write_pages(self.pages.reserve(sequence, length), slot)

    def together(self, prompt: int, answer: int) -> int:
        """How many answers of so many tokens to one prompt may be decoded together."""
        whole = prompt // PAGE
        each = -(-(prompt + answer) // PAGE) - whole
        return max(1, min(SLOTS, self.chunk, (self.pages.max_pages - whole) // each))

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

    def write_pages(self, pages: Sequence[tuple[int, int]], slot: int = 0) -> None:
        """Put (logical, physical) pages into a slot's page table."""
        for logical, physical in pages:
            offset = self.layout.pages_offset(logical, slot)
            self.device.write(self.buffers.step, offset, struct.pack("<I", physical))

    async def fork(self, sequence: CachedSequence, slot: int) -> CachedSequence:
        """A sequence that goes on from another one, in a slot of its own.

        Whole pages are shared. The last one, which both will write to, is copied.
        """
        fork = self.pages.fork(sequence)
        shared = len(fork.pages)
        self.write_pages(list(enumerate(fork.pages)), slot)
        await self.reserve(fork, len(sequence.tokens), slot)
        if shared < len(sequence.pages):
            await self._copy_page(sequence.pages[shared], fork.pages[shared])
        fork.tokens += sequence.tokens[len(fork.tokens) :]
        return fork

    async def _copy_page(self, source: int, target: int) -> None:
        plan = await self.plan(self, "copy page", 1, self._page_copies)
        self.device.write(self.buffers.step, *self.layout.page_copy(source, target))
        self.device.replay(plan)

    def _page_copies(self) -> list[Dispatch]:
        units = page_bytes(self.model.config, self.kv_format) // 16
        copy = kernel("copy_page", UNITS=units)
        return [
            Dispatch(copy, {"step": self.buffers.step, "kv": kv}, (-(-units // 64), 1, 1))
            for kv in self.buffers.kv
        ]

    # Steps

    def write_rows(self, rows: Sequence[Row], picked: int = 0) -> None:
        """Say what the next step computes, and which row's hidden state "head" takes."""
        self.device.write(self.buffers.step, 0, self.layout.words(rows, picked))

    async def prefill(
        self, sequence: CachedSequence, tokens: Sequence[int]
    ) -> AsyncIterator[CachedSequence]:
        """Compute the keys and values of tokens that follow the sequence, a chunk at a time.

        At most two chunks are queued, so that stopping between them is quick. The hidden rows of
        the last chunk stay for ``go_on``.
        """
        for start in range(0, len(tokens), self.chunk):
            part = tokens[start : start + self.chunk]
            await self.reserve(sequence, len(sequence.tokens) + len(part))
            plan = await self.forward_plan(len(part))
            self.write_rows(consecutive(part, len(sequence.tokens)))
            if start:
                await self.device.idle()
            self.device.replay(plan)
            sequence.tokens += part
            self._last_row = len(part) - 1
            yield sequence

    def go_on(self, sequence: CachedSequence, slots: int = 1) -> None:
        """After ``prefill``: a row for each of so many answers, which begin with the last token."""
        token, position = sequence.tokens[-1], len(sequence.tokens) - 1
        self.write_rows([Row(token, position, slot) for slot in range(slots)], self._last_row)

    async def plan(
        self, owner: object, name: str, rows: int, make: Callable[[], Sequence[Dispatch]]
    ) -> Plan:
        """A plan of an owner's that is recorded once, until buffers change or it is forgotten."""
        key = (owner, name, rows)
        if key not in self._plans:
            self._plans[key] = await self.device.record(name, make())
        return self._plans[key]

    async def forward_plan(self, rows: int) -> Plan:
        """The plan of a chunk of so many rows: keys, values and hidden states."""
        rows = self.bucket(rows)
        return await self.plan(self, "forward", rows, partial(self.forward, rows, head=False))

    def forward(self, rows: int, *, head: bool = True, **others: Any) -> list[Dispatch]:
        """A pass over so many rows, up to their logits or without them."""
        graph = self.graph(rows, **others)
        self.model.forward(graph)
        if head:
            self.model.head(graph)
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

    def bucket(self, rows: int) -> int:
        """How many rows so many are computed as: few sizes, so that plans are reused."""
        if rows <= max(1, self.tuning.few_rows):
            return 1 << (rows - 1).bit_length()
        unit = 32 if rows <= 64 else 64
        return -(-rows // unit) * unit

    def drop_plans(self, owner: object | None = None) -> None:
        """Forget recorded plans whose buffers are gone: all of them, or an owner's."""
        for key in [key for key in self._plans if owner in (None, key[0])]:
            self.device.drop(self._plans.pop(key))


def consecutive(tokens: Sequence[int], position: int) -> list[Row]:
    """Rows of a chunk: tokens that follow each other, the first at ``position``."""
    return [Row(token, position + i) for i, token in enumerate(tokens)]


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
