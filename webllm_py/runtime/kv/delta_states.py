"""Which sequence has which state of a model's delta nets: pure bookkeeping, no GPU.

A state can only be gone on with from where it stands. So each sequence under way has one of its
own, and copies of it, marks, tell what it was at some ends of pages: a later prompt that begins
alike goes on from the last of those, and computes the rest again.
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf

from webllm_py.models.step import PAGE
from webllm_py.runtime.kv.pages import Mark, Mix, PageTable, Sequence, common_prefix

__all__ = ["HybridPages", "States"]


class States:
    """Hands out states of a pool that grows up to ``most``.

    Attributes:
        capacity: states that exist on the GPU now; whoever owns the buffers raises it.
    """

    def __init__(self, most: int):
        self.most = most
        self.capacity = 0
        self._free: list[int] = []
        self._marks: dict[Mark, int] = {}  # and how many sequences have it, the latest used last

    @property
    def taken(self) -> int:
        """States that sequences under way have, or are about to go on from."""
        pinned = sum(mark.pins > 0 for mark in self._marks)
        return self.capacity - len(self._free) - len(self._marks) + pinned

    def grow_to(self, capacity: int) -> None:
        """Take note that there are ``capacity`` states now."""
        self._free[:0] = range(capacity - 1, self.capacity - 1, -1)
        self.capacity = capacity

    def take(self) -> int | None:
        """A state that is free; None: there is none."""
        return self._free.pop() if self._free else None

    def give_back(self, state: int) -> None:
        """A state is free again."""
        self._free.append(state)

    def forget_oldest(self) -> bool:
        """Make room: free the state of the mark that was used longest ago; whether there was one
        that nobody is about to go on from."""
        oldest = next((mark for mark in self._marks if not mark.pins), None)
        if oldest is None:
            return False
        del self._marks[oldest]
        self.give_back(oldest.state)
        return True

    def alive(self, marks: SequenceOf[Mark]) -> list[Mark]:
        """The marks whose states are still kept."""
        return [mark for mark in marks if mark in self._marks]

    def pin(self, mark: Mark) -> None:
        """A sequence is about to go on from a mark, which no other makes room for until then."""
        mark.pins += 1
        self._marks[mark] = self._marks.pop(mark)

    def share(self, mark: Mark) -> None:
        """One more sequence has a mark."""
        self._marks[mark] = self._marks.pop(mark, 0) + 1

    def let_go(self, mark: Mark) -> None:
        """One sequence less has it."""
        if mark in self._marks:
            self._marks[mark] -= 1
            if not self._marks[mark]:
                del self._marks[mark]
                self.give_back(mark.state)


class HybridPages(PageTable):
    """A page table of sequences that have states beside their pages."""

    def __init__(self, max_pages: int, states: States):
        super().__init__(max_pages)
        self.states = states

    def _taken_over(self, tokens: list[int], adapters: Mix) -> Sequence:
        """As ``PageTable``, up to a mark: its state is copied when the sequence gets its own."""
        best, mark = None, None
        for sequence in self._finished:
            if sequence.adapters != adapters:
                continue
            most = min(common_prefix(sequence.tokens, tokens), len(tokens) - 1)
            for known in self.states.alive(sequence.marks):
                further = mark is None or known.position > mark.position
                if further and known.position <= most and self._resumable(sequence, known):
                    best, mark = sequence, known
        if best is None or mark is None:
            return Sequence(adapters=adapters)
        if is_most(mark, best):
            self._finished.remove(best)
            self.truncate(best, mark.position)
        else:
            best = self._shared(best, mark.position // PAGE)
        best.resumed = mark
        self.states.pin(mark)
        return best

    def _resumable(self, sequence: Sequence, mark: Mark) -> bool:
        """Whether pages up to there can be taken over: whole ones, or one that nobody else has."""
        if mark.position % PAGE == 0:
            return True
        page = sequence.pages[mark.position // PAGE]
        return is_most(mark, sequence) and self._users[page] == 1

    def _shared(self, sequence: Sequence, pages: int) -> Sequence:
        shared = super()._shared(sequence, pages)
        for mark in self.states.alive(sequence.marks):
            if mark.position <= len(shared.tokens):
                self.states.share(mark)
                shared.marks.append(mark)
        return shared

    def truncate(self, sequence: Sequence, length: int) -> None:
        """Also the marks behind the last token that is left."""
        super().truncate(sequence, length)
        for mark in [mark for mark in sequence.marks if mark.position > length]:
            sequence.marks.remove(mark)
            self.states.let_go(mark)

    def finish(self, sequence: Sequence) -> None:
        """Its own state has gone past its last token: only marks are kept."""
        self._give_back(sequence)
        super().finish(sequence)

    def release(self, sequence: Sequence) -> None:
        """Its states, too."""
        self._give_back(sequence)
        super().release(sequence)
        while sequence.marks:
            self.states.let_go(sequence.marks.pop())

    def unpin(self, sequence: Sequence) -> None:
        """It need not go on from a mark any more."""
        if sequence.resumed:
            sequence.resumed.pins -= 1
            sequence.resumed = None

    def _give_back(self, sequence: Sequence) -> None:
        self.unpin(sequence)
        if sequence.state is not None:
            self.states.give_back(sequence.state)
            sequence.state = None


def is_most(mark: Mark, sequence: Sequence) -> bool:
    """Whether a sequence would rather go on from there itself than share pages up to there."""
    return 2 * mark.position >= len(sequence.tokens)
