"""The step buffer: what changes from one step to the next, read and advanced by the kernels.

Words (uint32)::

    0            rows of this step
    1            tokens drawn since the request began
    2, 3         unused
    4 ...        4 words a row: token, position, slot, unused
    pages_at ... a page table for each slot: physical page of logical page 0, 1, ...
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["PAGE", "ROWS_AT", "StepLayout"]

PAGE = 32
"""Positions in a page of the KV cache."""
ROWS_AT = 4
WORDS_A_ROW = 4


@dataclass(frozen=True)
class StepLayout:
    """Sizes of the step buffer."""

    max_rows: int
    max_pages: int
    slots: int = 1

    @property
    def pages_at(self) -> int:
        """First word of the page tables."""
        return ROWS_AT + WORDS_A_ROW * self.max_rows

    @property
    def nbytes(self) -> int:
        """Bytes of the whole buffer."""
        return 4 * (self.pages_at + self.max_pages * self.slots)

    def rows(self, tokens: Sequence[int], position: int, drawn: int, slot: int = 0) -> bytes:
        """The words from 0 for consecutive tokens of one slot, the first at ``position``."""
        words = [len(tokens), drawn, 0, 0]
        for i, token in enumerate(tokens):
            words += (token, position + i, slot, 0)
        return struct.pack(f"<{len(words)}I", *words)

    def pages_offset(self, logical_page: int, slot: int = 0) -> int:
        """Byte offset of a page-table entry."""
        return 4 * (self.pages_at + slot * self.max_pages + logical_page)
