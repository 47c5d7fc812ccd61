"""The paged KV cache on the device: pages that are handed out, copied, and grown by layers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from webllm_py.errors import GPUOutOfMemoryError
from webllm_py.gpu.device import Buffer, Device, Dispatch, Plan
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models.config import ModelConfig
from webllm_py.models.kv_cache import KVFormat, page_bytes
from webllm_py.models.step import PAGE, SLOTS, StepLayout
from webllm_py.runtime.kv.pages import Mix, PageTable
from webllm_py.runtime.kv.pages import Sequence as CachedSequence

__all__ = ["FIRST_PAGES", "CacheSpec", "KVCache"]

FIRST_PAGES = 8
# The cache grows for finished sequences up to this, or to twice what those under way took, but not
# past a whole context.
KEEP_BYTES = 64 << 20


@dataclass(frozen=True)
class CacheSpec:
    """What a cache of any kind is made of.

    Attributes:
        step: the step buffer, which holds the page tables; ``layout`` says where.
        bindable: most pages that one binding holds.
    """

    device: Device
    owner: BufferOwner
    config: ModelConfig
    kv_format: KVFormat
    layout: StepLayout
    step: Buffer
    bindable: int


class KVCache:
    """Keys and values of sequences under way and of finished ones.

    Attributes:
        buffers: one a layer; kernels/kv/pages.wgsl.
        paged: the layers whose buffers hold pages.
    """

    def __init__(self, spec: CacheSpec):
        config = spec.config
        self.device, self.owner = spec.device, spec.owner
        self.layout, self.step = spec.layout, spec.step
        self.pages = PageTable(min(spec.bindable, SLOTS * spec.layout.max_pages))
        self.page_bytes = page_bytes(config, spec.kv_format)
        self.buffers = [
            self.owner.create(f"kv {i}", self.first_bytes(config, i))
            for i in range(config.n_layers)
        ]
        self.paged = [i for i in range(config.n_layers) if not config.kind(i).recurrent]
        self._most_running = 0
        self._copy_plans: dict[str, Plan] = {}

    @staticmethod
    def first_bytes(config: ModelConfig, layer: int) -> int:
        """Bytes of a layer's buffer before there are pages: the least."""
        return 16

    @property
    def later_bytes(self) -> int:
        """Bytes that come besides pages, for what is kept for later prompts."""
        return 0

    @property
    def bytes_a_page(self) -> int:
        """Bytes of a page, all layers together."""
        return len(self.paged) * self.page_bytes

    async def prepare(self) -> None:
        """Make the first pages."""
        await self._grow(min(FIRST_PAGES, self.layout.max_pages))

    def begin(self, tokens: Sequence[int], slot: int = 0, adapters: Mix = ()) -> CachedSequence:
        """The longest prefix of a prompt that is cached with these adapters, in a slot's page
        table, ready to be extended."""
        sequence = self.pages.begin(tokens, adapters)
        self.write_pages(list(enumerate(sequence.pages)), slot)
        return sequence

    async def reserve(self, sequence: CachedSequence, length: int, slot: int = 0) -> None:
        """Make sure that the sequence has pages for ``length`` tokens; the cache grows for it.

        Raises:
            GPUOutOfMemoryError: no memory for more pages; the cache is as it was before.
        """
        added = -(-length // PAGE) - len(sequence.pages)
        if added <= 0:
            return
        await self._grow_for(added)
        self.write_pages(self.pages.reserve(sequence, length), slot)

    async def _grow_for(self, added: int) -> None:
        """Make room for ``added`` more pages, if there is memory; see ``reserve``."""
        needed = self.pages.running + added
        self._most_running = max(self._most_running, needed)
        missing, capacity = self.pages.lacks(added), self.pages.capacity
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
                        await self._grow_or_offer(needed)

    async def _grow_or_offer(self, pages: int) -> None:
        try:
            await self._grow(pages)
        except GPUOutOfMemoryError as error:
            error.offer(self.pages.capacity * PAGE)  # which is there
            raise

    async def fork(self, sequence: CachedSequence, slot: int) -> CachedSequence:
        """A sequence that goes on from another one, in a slot of its own.

        Whole pages are shared. The last one, which both will write to, is copied.

        Raises:
            GPUOutOfMemoryError: no memory for the copy.
        """
        fork = self.pages.fork(sequence)
        shared = len(fork.pages)
        try:
            self.write_pages(list(enumerate(fork.pages)), slot)
            # Pages only, whatever else a kind of cache gives sequences.
            await KVCache.reserve(self, fork, len(sequence.tokens), slot)
            if shared < len(sequence.pages):
                await self._copy_page(sequence.pages[shared], fork.pages[shared])
        except BaseException:
            self.pages.release(fork)
            raise
        fork.tokens += sequence.tokens[len(fork.tokens) :]
        fork.dropped[:] = sequence.dropped
        return fork

    def at_once(self, length: int, end: int) -> int:
        """How many tokens after the first ``length`` of a prompt that ends at ``end`` may be
        computed at once: all."""
        return end - length

    async def make_room(self, sequence: CachedSequence, slot: int = 0, needed: int = 1) -> int:
        """Drop tokens of a sequence that has no room for ``needed`` more, if this kind of cache
        does; how many."""
        return 0

    async def computed(self, sequence: CachedSequence, end: int, slot: int = 0) -> None:
        """A part of a prompt that ends there was computed, up to the sequence's last token."""

    def write_pages(self, pages: Sequence[tuple[int, int]], slot: int = 0) -> None:
        """Put (logical, physical) pages into a slot's page table."""
        for logical, physical in pages:
            offset = self.layout.pages_offset(logical, slot)
            self.device.write(self.step, offset, struct.pack("<I", physical))

    async def _copy_page(self, source: int, target: int) -> None:
        await self._copy("copy page", self.paged, self.page_bytes, source, target)

    async def _copy(
        self, name: str, layers: Sequence[int], nbytes: int, source: int, target: int
    ) -> None:
        """Copy one part of these layers' buffers over another, by the plan of that name.

        Args:
            nbytes: of each of the equal parts that a buffer has.
            source, target: the parts' numbers.
        """
        if name not in self._copy_plans:
            units = nbytes // 16
            copy = kernel("copy_page", UNITS=units)
            groups = (-(-units // 64), 1, 1)
            self._copy_plans[name] = await self.device.record(
                name,
                [
                    Dispatch(copy, {"step": self.step, "kv": self.buffers[i]}, groups)
                    for i in layers
                ],
            )
        self.device.write(self.step, *self.layout.page_copy(source, target))
        self.device.replay(self._copy_plans[name])

    async def _grow(self, pages: int) -> None:
        """Give every layer room for ``pages`` pages, keeping what is there. When that fails, some
        may have more room than is used."""
        pages = min(pages, self.pages.max_pages)
        layers = [self.buffers[i] for i in self.paged]
        kept = self.pages.capacity * self.page_bytes
        await self.owner.enlarge(layers, pages * self.page_bytes, kept)
        self.pages.grow_to(pages)

    def drop_plans(self) -> None:
        """Forget the recorded plans."""
        for plan in self._copy_plans.values():
            self.device.drop(plan)
        self._copy_plans.clear()
