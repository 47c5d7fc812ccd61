"""A vocabulary's tokens as a tree of their bytes, in flat arrays, and walks over it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

from webllm_py.grammar.pushdown import State
from webllm_py.grammar.regular import EMPTY, EPSILON, Regular

__all__ = ["Trie"]


class Trie:
    """Nodes in depth-first order: a node's descendants lie between it and where its subtree ends.

    Attributes:
        byte: the byte that leads to each node.
        end: the node behind each node's subtree.
        order: the tokens in the order of their nodes.
        rank: how many tokens come before each node; a node's own run up to the next node's rank.
    """

    def __init__(self, tokens: Iterable[tuple[bytes, int]]):
        byte = bytearray()
        self.end = array("i")
        self.order = array("i")
        self.rank = array("i")
        path: list[int] = []
        before = b""
        for text, token in sorted(tokens):
            common = _common(before, text)
            for node in path[common:]:
                self.end[node] = len(byte)
            del path[common:]
            for value in text[common:]:
                path.append(len(byte))
                byte.append(value)
                self.end.append(0)
                self.rank.append(len(self.order))
            self.order.append(token)
            before = text
        for node in path:
            self.end[node] = len(byte)
        self.rank.append(len(self.order))
        self.byte = bytes(byte)

    def within(
        self, language: Regular, free: Callable[[Regular], bool]
    ) -> tuple[list[int], list[int]]:
        """What of the tree stays inside a term.

        ``free`` tells of terms that refuse nothing in this tree; what is below is not looked at.

        Returns:
            Bounds of ranks, ``[start, stop, start, stop, ...]``, and the nodes below which the
            term may be over.
        """
        bounds: list[int] = [0, 0]
        exits: list[int] = []
        stack: list[tuple[Regular, int]] = []
        byte, ends, rank = self.byte, self.end, self.rank
        node, stop = 0, len(byte)
        bottom = stop
        while node < bottom:
            while node >= stop:
                language, stop = stack.pop()
            rest = language.step(byte[node])
            end = ends[node]
            if rest is EMPTY:
                node = end
                continue
            below = node + 1
            whole = end > below and free(rest)
            start, behind = rank[node], rank[end if whole else below]
            if bounds[-1] == start:
                bounds[-1] = behind
            elif start != behind:
                bounds += (start, behind)
            if whole:
                node = end
                continue
            if end > below:
                if rest.nullable:
                    exits.append(node)
                if rest is EPSILON:
                    node = end
                    continue
                stack.append((language, stop))
                language, stop = rest, end
            node = below
        return bounds, exits

    def below(self, node: int, state: State, tokens: list[int]) -> None:
        """Add the tokens that go on below a node and are allowed from ``state`` on."""
        stack: list[tuple[State, int]] = []
        byte, ends, rank = self.byte, self.end, self.rank
        bottom = stop = ends[node]
        node += 1
        while node < bottom:
            while node >= stop:
                state, stop = stack.pop()
            rest = state.step(byte[node])
            end = ends[node]
            if rest is None:
                node = end
                continue
            tokens += self.order[rank[node] : rank[node + 1]]
            node += 1
            if end > node:
                stack.append((state, stop))
                state, stop = rest, end


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two texts begin with in common."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
