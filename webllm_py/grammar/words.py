"""Texts that are known in full, as terms."""

from __future__ import annotations

from collections.abc import Iterable

from webllm_py.grammar.regular import byte_set, choice, sequence
from webllm_py.grammar.term import EPSILON, Regular

__all__ = ["literal", "literals"]


def literal(text: bytes) -> Regular:
    """Exactly these bytes."""
    return sequence(*(byte_set(1 << byte) for byte in text))


def literals(texts: Iterable[bytes]) -> Regular:
    """Any of many texts, as a tree of their common beginnings."""
    ordered = sorted(set(texts))
    return _tree(ordered, 0, len(ordered), 0)


def _tree(texts: list[bytes], start: int, end: int, depth: int) -> Regular:
    if end - start == 1:
        return literal(texts[start][depth:])
    options = []
    if start < end and len(texts[start]) == depth:
        options.append(EPSILON)
        start += 1
    while start < end:
        byte = texts[start][depth]
        stop = start
        while stop < end and texts[stop][depth] == byte:
            stop += 1
        rest = _tree(texts, start, stop, depth + 1)
        options.append(sequence(byte_set(1 << byte), rest))
        start = stop
    return choice(*options)
