"""The step buffer: what changes from one step to the next, read and advanced by the kernels.

Words (uint32)::

    0            rows of this step
    1            the row that the output layer takes for its first, in a plan that picks one
    2, 3         a page of the KV cache, or a state, to copy, and where to
    4 ...        4 words a row: token, position, slot, tokens drawn for the slot; in a chunk with
                 images, instead of the last, how many later positions the row attends to
    pages_at ... a page table for each slot: physical page of logical page 0, 1, ...
    states_at .. the state of each slot, of models that keep one
    scales_at .. float32, for each slot the scales of its adapters

A slot is one of the sequences that are decoded together.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import NamedTuple

__all__ = [
    "MOST_ADAPTERS",
    "PAGE",
    "ROWS_AT",
    "SLOTS",
    "SLOT_WORD",
    "Row",
    "StepLayout",
    "consecutive",
]

PAGE = 32
"""Positions in a page of the KV cache."""
ROWS_AT = 4
WORDS_A_ROW = 4
SLOT_WORD = 2
"""Which of a row's words has its slot."""
SLOTS = 8
"""Most sequences that are decoded together."""
MOST_ADAPTERS = 64
"""Adapters that may be loaded at a time."""


class Row(NamedTuple):
    """A token to compute."""

    token: int
    position: int
    slot: int = 0
    drawn: int = 0


def consecutive(
    tokens: Sequence[int], position: int, slot: int = 0, ahead: Sequence[int] = ()
) -> list[Row]:
    """Rows of a chunk: tokens that follow each other, the first at ``position``.

    Args:
        ahead: how many later positions each attends to; empty for none.
    """
    return [
        Row(token, position + i, slot, more)
        for i, (token, more) in enumerate(zip_longest(tokens, ahead, fillvalue=0))
    ]


@dataclass(frozen=True)
class StepLayout:
    """Sizes of the step buffer."""

    max_rows: int
    max_pages: int

    @property
    def pages_at(self) -> int:
        """First word of the page tables."""
        return ROWS_AT + WORDS_A_ROW * self.max_rows

    @property
    def nbytes(self) -> int:
        """Bytes of the whole buffer."""
        return 4 * (self.scales_at + SLOTS * MOST_ADAPTERS)

    @property
    def states_at(self) -> int:
        """First word of the slots' states."""
        return self.pages_at + self.max_pages * SLOTS

    @property
    def scales_at(self) -> int:
        """First word of the slots' scales of adapters."""
        return self.states_at + SLOTS

    def words(self, rows: Sequence[Row], picked: int = 0) -> bytes:
        """The words from 0 for these rows."""
        words = [len(rows), picked, 0, 0, *chain.from_iterable(rows)]
        return struct.pack(f"<{len(words)}I", *words)

    def guesses(self, rows: Sequence[Row]) -> list[tuple[int, bytes]]:
        """Byte offsets and words of rows that follow the one that the step before left."""
        words = struct.pack(f"<{WORDS_A_ROW * len(rows)}I", *chain.from_iterable(rows))
        return [(0, struct.pack("<I", 1 + len(rows))), (4 * (ROWS_AT + WORDS_A_ROW), words)]

    def page_copy(self, source: int, target: int) -> tuple[int, bytes]:
        """Byte offset and words of a page to copy."""
        return 8, struct.pack("<2I", source, target)

    def state_offset(self, slot: int) -> int:
        """Byte offset of the number of a slot's state."""
        return 4 * (self.states_at + slot)

    def scales_offset(self, slot: int) -> int:
        """Byte offset of a slot's scales of adapters."""
        return 4 * (self.scales_at + slot * MOST_ADAPTERS)

    def pages_offset(self, logical_page: int, slot: int = 0) -> int:
        """Byte offset of a page-table entry."""
        return 4 * (self.pages_at + slot * self.max_pages + logical_page)
