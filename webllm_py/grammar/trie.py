"""A vocabulary's tokens as a tree of their bytes, in flat arrays, and walks over it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable

from webllm_py.grammar.pushdown import State
from webllm_py.grammar.term import EMPTY, EPSILON, Regular, lowest

__all__ = ["Trie"]


class Trie:
    """Nodes in depth-first order: a node's descendants lie between it and where its subtree ends.

    It grows by ``extend``, and is whole behind ``close``.

    Attributes:
        byte: the byte that leads to each node.
        end: the node behind each node's subtree.
        first: the bytes that tokens begin with, as 256 bits.
        order: the tokens in the order of their nodes.
        rank: how many tokens come before each node; a node's own run up to the next node's rank.
    """

    def __init__(self) -> None:
        self.byte = bytearray()
        self.end = array("i")
        self.rank = array("i")
        self.order = array("i")
        self.first = 0
        self._roots: dict[int, int] = {}
        self._path: list[int] = []
        self._last = b""

    def extend(self, tokens: Iterable[tuple[bytes, int]]) -> None:
        """Add tokens, which come in the order of their bytes, and behind all that are there."""
        byte, end, path, before = self.byte, self.end, self._path, self._last
        for text, token in tokens:
            common = _common(before, text)
            node = len(byte)
            if not common:
                self._roots[text[0]] = node
            while len(path) > common:
                end[path.pop()] = node
            new = len(text) - common
            path += range(node, node + new)
            byte += text[common:]
            end.extend([0] * new)
            self.rank.extend([len(self.order)] * new)
            self.order.append(token)
            before = text
        self._last = before

    def close(self) -> None:
        """There are no more tokens."""
        for node in self._path:
            self.end[node] = len(self.byte)
        self.rank.append(len(self.order))
        self.first = sum(1 << value for value in self._roots)

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
            root = self._roots[lowest(begins)]
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
