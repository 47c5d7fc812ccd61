"""Boxes: what several counters may have left at once, each an interval.

The options of an ambiguous pattern differ in little but counters. Those whose boxes make one box
together are one option, and one whose box is inside another's is none.
"""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["UNBOUNDED", "Box", "united"]

Box = tuple[tuple[int, int], ...]
"""The least and the most of each counter, both inclusive."""
UNBOUNDED = 1 << 62
"""The most of a counter without end; counts that a pattern can hold in practice are below."""
COMPARED = 32
"""Boxes, the widest ones, that another one is looked for in."""


def united(boxes: Collection[Box]) -> set[Box]:
    """Boxes that hold the same points together, most often fewer; all have the same axes."""
    found = set(boxes)
    axes = [axis for axis, sides in enumerate(zip(*found, strict=True)) if len(set(sides)) > 1]
    size = -1
    while 1 < len(found) != size:
        size = len(found)
        for axis in axes:
            found = _united_along(found, axis)
    return _outermost(found, axes) if len(axes) > 1 else found


def _united_along(boxes: set[Box], axis: int) -> set[Box]:
    """Boxes that differ in one axis only are one where they overlap or touch."""
    rows: dict[tuple[Box, Box], list[tuple[int, int]]] = {}
    for box in boxes:
        rows.setdefault((box[:axis], box[axis + 1 :]), []).append(box[axis])
    found = set()
    for (before, after), row in rows.items():
        row.sort()
        least, most = row[0]
        for low, high in row[1:]:
            if low > most + 1:
                found.add((*before, (least, most), *after))
                least, most = low, high
            else:
                most = max(most, high)
        found.add((*before, (least, most), *after))
    return found


def _outermost(boxes: set[Box], axes: list[int]) -> set[Box]:
    """Without those inside of another one, as far as the widest ones tell."""
    kept: list[Box] = []
    # A box that holds another one reaches further up or further down in sum.
    for box in sorted(boxes, key=lambda b: (-sum(h for _, h in b), sum(low for low, _ in b))):
        if not any(_inside(box, other, axes) for other in kept[:COMPARED]):
            kept.append(box)
    return set(kept)


def _inside(box: Box, other: Box, axes: list[int]) -> bool:
    for axis in axes:
        if box[axis][0] < other[axis][0] or box[axis][1] > other[axis][1]:
            return False
    return True
