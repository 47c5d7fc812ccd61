"""Which sequence has which state of a model's recurrent layers: pure bookkeeping, no GPU.

A state can only be gone on with from where it stands. So each sequence under way has one of its
own, and snapshots of it tell what it was at some ends of pages: a later prompt that begins
alike goes on from the last of those, and computes the rest again.
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf

from webllm_py.models.step import PAGE
from webllm_py.runtime.kv.pages import Mix, PageTable, Sequence, StateSnapshot, common_prefix

__all__ = ["HybridPages", "StatePool"]


class StatePool:
    """Hands out states of a pool that grows up to ``most``.

    Attributes:
        capacity: states that exist on the GPU now; whoever owns the buffers raises it.
    """

    def __init__(self, most: int):
        self.most = most
        self.capacity = 0
        self._free: list[int] = []
        # And how many sequences have it; the latest used last.
        self._snapshots: dict[StateSnapshot, int] = {}

    @property
    def taken(self) -> int:
        """States that sequences under way have, or are about to go on from."""
        pinned = sum(snapshot.pins > 0 for snapshot in self._snapshots)
        return self.capacity - len(self._free) - len(self._snapshots) + pinned

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
        """Make room: free the state of the snapshot that was used longest ago; whether there was
        one that nobody is about to go on from."""
        oldest = next((snapshot for snapshot in self._snapshots if not snapshot.pins), None)
        if oldest is None:
            return False
        del self._snapshots[oldest]
        self.give_back(oldest.state)
        return True

    def alive(self, snapshots: SequenceOf[StateSnapshot]) -> list[StateSnapshot]:
        """The snapshots whose states are still kept."""
        return [snapshot for snapshot in snapshots if snapshot in self._snapshots]

    def pin(self, snapshot: StateSnapshot) -> None:
        """A sequence is about to go on from a snapshot: until then it does not make room."""
        snapshot.pins += 1
        self._snapshots[snapshot] = self._snapshots.pop(snapshot)

    def share(self, snapshot: StateSnapshot) -> None:
        """One more sequence has a snapshot."""
        self._snapshots[snapshot] = self._snapshots.pop(snapshot, 0) + 1

    def let_go(self, snapshot: StateSnapshot) -> None:
        """One sequence less has it."""
        if snapshot in self._snapshots:
            self._snapshots[snapshot] -= 1
            if not self._snapshots[snapshot]:
                del self._snapshots[snapshot]
                self.give_back(snapshot.state)


class HybridPages(PageTable):
    """A page table of sequences that have states beside their pages."""

    def __init__(self, max_pages: int, states: StatePool):
        super().__init__(max_pages)
        self.states = states

    def _taken_over(self, tokens: list[int], adapters: Mix) -> Sequence:
        """As ``PageTable``, up to a snapshot, which is copied when the sequence gets its state."""
        best, snapshot = None, None
        for sequence in self._finished:
            if sequence.adapters != adapters:
                continue
            most = min(common_prefix(sequence.tokens, tokens), len(tokens) - 1)
            for known in self.states.alive(sequence.snapshots):
                further = snapshot is None or known.position > snapshot.position
                if further and known.position <= most and self._resumable(sequence, known):
                    best, snapshot = sequence, known
        if best is None or snapshot is None:
            return Sequence(adapters=adapters)
        if is_most(snapshot, best):
            self._finished.remove(best)
            self.truncate(best, snapshot.position)
        else:
            best = self._shared(best, snapshot.position // PAGE)
        best.resumed = snapshot
        self.states.pin(snapshot)
        return best

    def _resumable(self, sequence: Sequence, snapshot: StateSnapshot) -> bool:
        """Whether pages up to there can be taken over: whole ones, or one that nobody else has."""
        if snapshot.position % PAGE == 0:
            return True
        page = sequence.pages[snapshot.position // PAGE]
        return is_most(snapshot, sequence) and self._users[page] == 1

    def _shared(self, sequence: Sequence, pages: int) -> Sequence:
        shared = super()._shared(sequence, pages)
        for snapshot in self.states.alive(sequence.snapshots):
            if snapshot.position <= len(shared.tokens):
                self.states.share(snapshot)
                shared.snapshots.append(snapshot)
        return shared

    def truncate(self, sequence: Sequence, length: int) -> None:
        """Also the snapshots behind the last token that is left."""
        super().truncate(sequence, length)
        for snapshot in [one for one in sequence.snapshots if one.position > length]:
            sequence.snapshots.remove(snapshot)
            self.states.let_go(snapshot)

    def finish(self, sequence: Sequence) -> None:
        """Its own state has gone past its last token: only snapshots are kept."""
        self._give_back(sequence)
        super().finish(sequence)

    def release(self, sequence: Sequence) -> None:
        """Its states, too."""
        self._give_back(sequence)
        super().release(sequence)
        while sequence.snapshots:
            self.states.let_go(sequence.snapshots.pop())

    def unpin(self, sequence: Sequence) -> None:
        """It need not go on from a snapshot any more."""
        if sequence.resumed:
            sequence.resumed.pins -= 1
            sequence.resumed = None

    def _give_back(self, sequence: Sequence) -> None:
        self.unpin(sequence)
        if sequence.state is not None:
            self.states.give_back(sequence.state)
            sequence.state = None


def is_most(snapshot: StateSnapshot, sequence: Sequence) -> bool:
    """Whether a sequence would rather go on from there itself than share pages up to there."""
    return 2 * snapshot.position >= len(sequence.tokens)
