"""Rows to other places, as a dispatch of kernels/move_rows.wgsl."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import kernel

__all__ = ["MORE_AT", "map_bytes", "map_words", "move_rows"]

MORE_AT = 1 << 30
"""From this number on, rows are those of the second buffer."""


def move_rows(
    buffers: Sequence[Buffer],
    rows: int,
    *,
    pieces: int = 1,
    columns: int,
    strides: tuple[int, int],
    more_stride: int = 0,
    label: str = "",
) -> Dispatch:
    """Rows to other places.

    Args:
        buffers: x, more, map and y of kernels/move_rows.wgsl.
        rows: the most.
        columns: of a piece.
        strides: of x and y; ``more_stride``: of more.
    """
    made = kernel(
        "move_rows",
        PIECES=pieces,
        COLUMNS=columns,
        X_STRIDE=strides[0],
        Y_STRIDE=strides[1],
        MORE_AT=MORE_AT,
        MORE_STRIDE=more_stride,
    )
    bound = dict(zip(("x", "more", "map", "y"), buffers, strict=True))
    return Dispatch(made, bound, (-(-pieces * columns // 256), rows, 1), label)


def map_words(entries: Sequence[Sequence[int]]) -> bytes:
    """A map: of each row, those that it is made of, then its place."""
    words = [len(entries), 0, 0, 0, *chain.from_iterable(entries)]
    return struct.pack(f"<{len(words)}I", *words)


def map_bytes(rows: int, pieces: int = 1) -> int:
    """Bytes of a map of at most ``rows`` rows."""
    return 4 * (4 + (pieces + 1) * rows)
