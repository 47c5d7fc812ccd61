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
        first: the bytes that tokens begin with, as 256 bits.
        order: the tokens in the order of their nodes.
        rank: how many tokens come before each node; a node's own run up to the next node's rank.
    """

    def __init__(self, tokens: Iterable[tuple[bytes, int]]):
        byte = bytearray()
        end: list[int] = []
        rank: list[int] = []
        order: list[int] = []
        path: list[int] = []
        before = b""
        for text, token in sorted(tokens):
            common = 0 if text[:1] != before[:1] else _common(before, text)
            while len(path) > common:
                end[path.pop()] = len(byte)
            new = len(text) - common
            path += range(len(byte), len(byte) + new)
            byte += text[common:]
            end += [0] * new
            rank += [len(order)] * new
            order.append(token)
            before = text
        for node in path:
            end[node] = len(byte)
        rank.append(len(order))
        self.byte = bytes(byte)
        self._roots: dict[int, int] = {}
        node = 0
        while node < len(byte):
            self._roots[byte[node]] = node
            node = end[node]
        self.first = sum(1 << value for value in self._roots)
        self.end = array("i", end)
        self.rank = array("i", rank)
        self.order = array("i", order)

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
        begins = language.first() & self.first
        while begins:
            root = self._roots[(begins & -begins).bit_length() - 1]
            self._from_root(root, language, free, bounds, exits)
            begins &= begins - 1
        return bounds, exits

    def _from_root(
        self,
        node: int,
        language: Regular,
        free: Callable[[Regular], bool],
        bounds: list[int],
        exits: list[int],
    ) -> None:
        stack: list[tuple[Regular, int]] = []
        byte, ends, rank = self.byte, self.end, self.rank
        bottom = stop = ends[node]
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
            return count
        count += 1
    return count
