"""A cache whose sequences go on past the context (arXiv 2309.17453, attention sinks): when one is
full, its first pages stay, and a quarter of the others, the oldest, drop out.

Positions are those within the cache, as they are with WebLLM: what stays moves up, its keys turned
back by as many positions as were dropped. So no position is ever beyond the context.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping

from webllm_py.gpu.device import Dispatch, Plan
from webllm_py.gpu.kernels import kernel
from webllm_py.models.rope import Rotation
from webllm_py.models.step import PAGE, ROWS_AT
from webllm_py.runtime.kv.cache import CacheSpec, KVCache
from webllm_py.runtime.kv.pages import Mix, PageTable, Sequence, common_prefix

__all__ = ["SlidingCache", "SlidingPages", "pages_dropped", "pages_kept"]

AT_ONCE = 4  # the part of the pages that drop out when it is full


def pages_dropped(pages: int, kept: int) -> int:
    """Pages that drop out at once, of a cache of so many whose first ``kept`` stay."""
    return max(1, (pages - kept) // AT_ONCE)


def pages_kept(sinks: int) -> int:
    """Pages that hold the first ``sinks`` tokens."""
    return -(-sinks // PAGE)


class SlidingPages(PageTable):
    """A page table of sequences that drop pages behind the first ``kept``.

    Args:
        positions: most tokens of a sequence. When another one comes, ``at_once`` pages drop out.
    """

    def __init__(self, max_pages: int, kept: int, positions: int, at_once: int):
        super().__init__(max_pages)
        self.kept = kept
        self.positions = positions
        self.at_once = at_once

    def _taken_over(self, tokens: list[int], adapters: Mix) -> Sequence:
        """See the base class; of a sequence that has dropped pages its first ones, or all."""
        alike = [sequence for sequence in self._finished if sequence.adapters == adapters]
        best = max(alike, key=lambda s: self._reach(s, tokens), default=None)
        if best is None:
            return Sequence(adapters=adapters)
        kept = self._reach(best, tokens)
        is_later = bool(best.dropped) and kept > self.kept * PAGE
        kept -= len(best.dropped) if is_later else 0
        if not is_later and 2 * kept < len(best.tokens):
            return self._shared(best, kept // PAGE)
        if kept % PAGE and self._users[best.pages[kept // PAGE]] > 1:
            return self._shared(best, self.kept if is_later else kept // PAGE)
        self._finished.remove(best)
        self.truncate(best, kept)
        return best

    def _reach(self, sequence: Sequence, tokens: list[int]) -> int:
        """How much of a prompt a sequence has read, in just the way in which the prompt would be.

        So an answer does not depend on what is cached.
        """
        first, dropped = self.kept * PAGE, sequence.dropped
        text = sequence.tokens
        if dropped:
            text = text[:first] + dropped + text[first:]
        reach = min(common_prefix(text, tokens), len(tokens) - 1)
        dropping = self.at_once * PAGE
        would_drop = -(-max(0, reach - self.positions) // dropping) * dropping
        return reach if would_drop == len(dropped) else min(reach, first)

    def _shared(self, sequence: Sequence, pages: int) -> Sequence:
        shared = super()._shared(sequence, pages)
        if pages > self.kept:
            shared.dropped += sequence.dropped
        return shared

    def truncate(self, sequence: Sequence, length: int) -> None:
        """Where only first tokens are left, nothing was dropped behind them."""
        super().truncate(sequence, length)
        if length <= self.kept * PAGE:
            sequence.dropped.clear()

    def drop(self, sequence: Sequence, count: int) -> None:
        """Drop ``count`` pages after those that stay, and their tokens."""
        start, end = self.kept * PAGE, (self.kept + count) * PAGE
        sequence.dropped += sequence.tokens[start:end]
        del sequence.tokens[start:end]
        for page in sequence.pages[self.kept : self.kept + count]:
            self._let_page_go(page)
        del sequence.pages[self.kept : self.kept + count]

    def shared_with_others(self, sequence: Sequence, first: int) -> list[int]:
        """Its pages, by their places from ``first`` on, that another sequence has too."""
        return [
            place
            for place in range(first, len(sequence.pages))
            if self._users[sequence.pages[place]] > 1
        ]

    def part(self, sequence: Sequence, place: int) -> tuple[int, int]:
        """Give the sequence a page of its own in the place of a shared one; both."""
        shared = sequence.pages[place]
        page = self._free_page()
        self._let_page_go(shared)
        sequence.pages[place] = page
        return shared, page


class SlidingCache(KVCache):
    """See ``KVCache``.

    Args:
        sinks: tokens that always stay; they come in whole pages.
        rotations: of keys, by ``LayerKind.rope``.

    Attributes:
        positions: most tokens of a sequence that are in the cache.
    """

    def __init__(self, spec: CacheSpec, *, sinks: int, rotations: Mapping[str, Rotation]):
        super().__init__(spec)
        self.config, self.kv_format = spec.config, spec.kv_format
        layout, kept = spec.layout, pages_kept(sinks)
        at_once = pages_dropped(layout.max_pages, kept)
        self.positions = layout.max_pages * PAGE
        self.sliding = SlidingPages(self.pages.max_pages, kept, self.positions, at_once)
        self.pages = self.sliding
        self._turns = {name: turn(rotation, at_once * PAGE) for name, rotation in rotations.items()}
        self._turn_buffers = {
            name: self.owner.create(f"{name} turn", len(data)) for name, data in self._turns.items()
        }
        self._turn_plan: Plan | None = None

    async def prepare(self) -> None:
        """Also say how far keys are turned."""
        for name, data in self._turns.items():
            self.device.write(self._turn_buffers[name], 0, data)
        await super().prepare()

    def at_once(self, length: int, end: int) -> int:
        """See the base class; here as many tokens as there are positions for."""
        return min(end, self.positions) - length

    async def make_room(self, sequence: Sequence, slot: int = 0, needed: int = 1) -> int:
        """Drop tokens of a sequence that has no room for ``needed`` more; how many positions what
        is behind them moves up.

        Raises:
            GPUOutOfMemoryError: no memory for copies of pages that others have too.
        """
        moved = 0
        while len(sequence.tokens) + needed > self.positions:
            moved += await self._drop(sequence, slot)
        return moved

    async def _drop(self, sequence: Sequence, slot: int) -> int:
        """Drop what drops out at once."""
        pages, count = self.sliding, self.sliding.at_once
        shared = pages.shared_with_others(sequence, pages.kept + count)
        await self._grow_for(len(shared))
        for place in shared:
            await self._copy_page(*pages.part(sequence, place))
        pages.drop(sequence, count)
        self.write_pages(list(enumerate(sequence.pages)), slot)
        self.device.write(self.step, *self.layout.page_copy(slot, len(sequence.pages)))
        self.device.replay(await self._turning())
        return count * PAGE

    async def _turning(self) -> Plan:
        """The plan that turns keys, of layers that rotate them."""
        if self._turn_plan is None:
            self._turn_plan = await self.device.record(
                "turn keys",
                [
                    self._turn(layer)
                    for layer in self.paged
                    if self.config.kind(layer).rope != "none"
                ],
            )
        return self._turn_plan

    def _turn(self, layer: int) -> Dispatch:
        config, first = self.config, self.sliding.kept
        made = kernel(
            "kv_turn",
            snippets={"pages": "kv/pages"},
            KV_HEADS=config.n_kv_heads,
            HEAD_DIM=config.head_dim,
            PAGE=PAGE,
            STEP_ROWS=ROWS_AT,
            STEP_PAGES=self.layout.pages_at,
            MAX_PAGES=self.layout.max_pages,
            ROTARY=config.rotary_dim,
            FIRST=first,
            WIDE=self.kv_format == "f32",
        )
        bound = {"step": self.step, "kv": self.buffers[layer]}
        bound["turn"] = self._turn_buffers[config.kind(layer).rope]
        groups = -(-PAGE * config.n_kv_heads * config.rotary_dim // 2 // 64)
        return Dispatch(made, bound, (groups, self.layout.max_pages - first, 1))

    def drop_plans(self) -> None:
        super().drop_plans()
        if self._turn_plan:
            self.device.drop(self._turn_plan)
            self._turn_plan = None


def turn(rotation: Rotation, positions: int) -> bytes:
    """float32 (cos, sin) of the angle that each pair turns by over ``positions``."""
    angles = [positions * frequency for frequency in rotation.frequencies]
    pairs = ((math.cos(angle), math.sin(angle)) for angle in angles)
    return array("f", [part for pair in pairs for part in pair]).tobytes()
