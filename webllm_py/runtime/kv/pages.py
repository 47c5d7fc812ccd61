"""Which page of the KV cache holds what: pure bookkeeping, no GPU.

Pages are counted by how many sequences use them. A finished sequence stays, so that a later prompt
that begins alike takes its pages over instead of computing them again.
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from typing import TypeAlias

from webllm_py.models.step import PAGE

__all__ = ["Mix", "PageTable", "Sequence", "StateSnapshot", "common_prefix"]

Mix: TypeAlias = tuple[tuple[int, float], ...]
"""Adapters' numbers, each once and in order, and their scales; empty without any."""


@dataclass(eq=False)
class StateSnapshot:
    """The state of a model's recurrent layers after ``position`` tokens: see kv/states.py.

    Attributes:
        pins: sequences that are about to go on from it.
    """

    position: int
    state: int
    pins: int = 0


@dataclass(eq=False)
class Sequence:
    """Tokens whose keys and values are in the cache, and the pages that hold them.

    ``pages`` may reach past the tokens: pages reserved for tokens to come.

    Attributes:
        adapters: those that the keys and values came about with; with others they would be others.
        state: its own, of a model that has some, while it is under way.
        snapshots: earlier states of it; ``resumed`` is one that its own is still to be copied from.
        dropped: tokens that were read, and whose pages are no more: see kv/sliding.py.
    """

    tokens: list[int] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    adapters: Mix = ()
    state: int | None = None
    snapshots: list[StateSnapshot] = field(default_factory=list)
    resumed: StateSnapshot | None = None
    dropped: list[int] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Tokens of its text, up to the last that is in the cache."""
        return len(self.tokens) + len(self.dropped)


def common_prefix(a: SequenceOf[int], b: SequenceOf[int]) -> int:
    """How many leading elements agree."""
    n = min(len(a), len(b))
    if a[:n] == b[:n]:
        return n
    low, high = 0, n  # the first `low` agree, the first `high` do not
    while high - low > 1:
        middle = (low + high) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle
    return low


class PageTable:
    """Hands out pages of a pool that grows up to ``max_pages``.

    Attributes:
        capacity: pages that exist on the GPU now; whoever owns the buffers raises it (``grow_to``).
    """

    def __init__(self, max_pages: int):
        self.max_pages = max_pages
        self.capacity = 0
        self._users: dict[int, int] = {}
        self._free: list[int] = []
        self._running: list[Sequence] = []
        self._finished: list[Sequence] = []

    @property
    def running(self) -> int:
        """Pages of sequences that are under way."""
        return len({page for sequence in self._running for page in sequence.pages})

    @property
    def used(self) -> int:
        """Pages that some sequence uses, finished ones included."""
        return len(self._users)

    @property
    def newest(self) -> Sequence | None:
        """The sequence that finished last."""
        return self._finished[-1] if self._finished else None

    def grow_to(self, capacity: int) -> None:
        """Take note that there are ``capacity`` pages now."""
        self._free[:0] = range(capacity - 1, self.capacity - 1, -1)
        self.capacity = capacity

    def begin(self, tokens: SequenceOf[int], adapters: Mix = ()) -> Sequence:
        """A sequence for a prompt, holding the longest prefix of it cached with these adapters.

        At least the prompt's last token is left out: computing it gives the logits.
        """
        sequence = self._taken_over(list(tokens), adapters)
        self._running.append(sequence)
        return sequence

    def _taken_over(self, tokens: list[int], adapters: Mix) -> Sequence:
        alike = [sequence for sequence in self._finished if sequence.adapters == adapters]
        best = max(alike, key=lambda s: common_prefix(s.tokens, tokens), default=None)
        if best is None:
            return Sequence(adapters=adapters)
        kept = min(common_prefix(best.tokens, tokens), len(tokens) - 1)
        if 2 * kept >= len(best.tokens):
            # Most of it goes on as this sequence, down to the last token that nobody else's page
            # holds: what follows will be overwritten.
            self._finished.remove(best)
            if kept % PAGE and self._users[best.pages[kept // PAGE]] > 1:
                kept -= kept % PAGE
            self.truncate(best, kept)
            return best
        # The rest of it may be asked for again: share whole pages, which nobody writes any more.
        return self._shared(best, kept // PAGE)

    def empty(self, adapters: Mix = ()) -> Sequence:
        """A sequence without tokens, to be filled with some whose keys and values are known."""
        sequence = Sequence(adapters=adapters)
        self._running.append(sequence)
        return sequence

    def reopen(self, sequence: Sequence) -> None:
        """A finished sequence is under way again."""
        self._finished.remove(sequence)
        self._running.append(sequence)

    def rewind(self, n: int) -> list[int]:
        """Forget the last ``n`` tokens of the newest finished sequence; those that are left."""
        sequence = self._finished.pop()
        self.truncate(sequence, len(sequence.tokens) - n)
        if sequence.tokens:
            self._finished.append(sequence)
        return [*sequence.tokens]

    def fork(self, sequence: Sequence) -> Sequence:
        """Another sequence over the same tokens, as far as they fill whole pages."""
        fork = self._shared(sequence, len(sequence.tokens) // PAGE)
        self._running.append(fork)
        return fork

    def _shared(self, sequence: Sequence, pages: int) -> Sequence:
        for page in sequence.pages[:pages]:
            self._users[page] += 1
        return Sequence(sequence.tokens[: pages * PAGE], sequence.pages[:pages], sequence.adapters)

    def missing(self, sequence: Sequence, length: int) -> int:
        """How many pages the pool lacks for the sequence to hold ``length`` tokens.

        Finished sequences count as room only when the pool cannot grow any more.
        """
        return self.lacks(-(-length // PAGE) - len(sequence.pages))

    def lacks(self, pages: int) -> int:
        """How many pages the pool lacks to hand out ``pages`` more."""
        return max(0, pages - len(self._free))

    def reserve(self, sequence: Sequence, length: int) -> list[tuple[int, int]]:
        """Give the sequence pages for ``length`` tokens; (logical, physical) of the new ones.

        Finished sequences make room, the oldest first. The caller has grown the pool as far as it
        may before.
        """
        added = []
        while len(sequence.pages) * PAGE < length:
            page = self._free_page()
            added.append((len(sequence.pages), page))
            sequence.pages.append(page)
        return added

    def _free_page(self) -> int:
        while not self._free and self._finished:
            self.release(self._finished.pop(0))
        if not self._free:
            raise MemoryError("the page pool is exhausted")
        page = self._free.pop()
        self._users[page] = 1
        return page

    def truncate(self, sequence: Sequence, length: int) -> None:
        """Forget the tokens from ``length`` on, and the pages that only they used."""
        del sequence.tokens[length:]
        self._let_go(sequence, -(-length // PAGE))

    def finish(self, sequence: Sequence) -> None:
        """The sequence is complete; keep it for prompts that begin alike."""
        self._running.remove(sequence)
        self._let_go(sequence, -(-len(sequence.tokens) // PAGE))
        if sequence.tokens:
            self._finished.append(sequence)

    def release(self, sequence: Sequence) -> None:
        """Forget the sequence."""
        if sequence in self._running:
            self._running.remove(sequence)
        sequence.tokens.clear()
        sequence.dropped.clear()
        self._let_go(sequence, 0)

    def forget_adapter(self, number: int) -> None:
        """Forget finished sequences that came about with an adapter."""
        for sequence in [*self._finished]:
            if any(number == one for one, _ in sequence.adapters):
                self._finished.remove(sequence)
                self.release(sequence)

    def clear(self) -> None:
        """Forget every finished sequence."""
        while self._finished:
            self.release(self._finished.pop())

    def _let_go(self, sequence: Sequence, keep: int) -> None:
        for page in sequence.pages[keep:]:
            self._let_page_go(page)
        del sequence.pages[keep:]

    def _let_page_go(self, page: int) -> None:
        self._users[page] -= 1
        if not self._users[page]:
            del self._users[page]
            self._free.append(page)
