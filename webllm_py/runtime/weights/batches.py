"""A model's pieces in the batches that they are fetched in, of which sources are told early."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from webllm_py.fetch.source import AheadSource
from webllm_py.runtime.weights.pieces import Piece, extent, first_batch

__all__ = ["Batches"]

# Fetched at once: as much as comes quickly, so that what a fetch costs of itself does not count,
# and progress is told often.
LEAST_BYTES = 1 << 20
QUICK, SLOW = 0.05, 0.25  # seconds
# That sources are told of, before they are read: as much may lie in memory. It comes while Python
# composes kernels and reads the tokenizer.
AHEAD_BYTES = 64 << 20
LEAST_AHEAD = 2  # batches, whatever their size: a source knows whether it was the last one


class Batches:
    """Pieces, batch after batch; sources that read ahead are told of those that come.

    Args:
        pieces: in the order in which they are fetched.
        most: bytes of a batch of several pieces.
    """

    def __init__(self, pieces: Sequence[Piece], most: int):
        self._pieces = pieces
        self._limit = most
        self._most = self._least = min(LEAST_BYTES, most)
        self._planned = 0  # pieces
        self._coming: deque[Sequence[Piece]] = deque()
        self._coming_bytes = 0
        self._begun = False

    def begin(self) -> None:
        """Tell of the first ones: of those that can come early, each is larger than the last."""
        if not self._begun:
            self._begun = True
            while self._look_ahead():
                self._most = min(2 * self._most, self._limit)

    def next(self) -> Sequence[Piece]:
        """The next batch; empty behind the last one."""
        self.begin()
        if not self._coming and not self._plan():
            return ()
        batch = self._coming.popleft()
        self._coming_bytes -= extent(batch)
        while self._look_ahead():
            pass
        return batch

    def waited(self, seconds: float) -> None:
        """Take note how long a batch took to come, and make later ones smaller or larger."""
        if seconds < QUICK:
            self._most = min(2 * self._most, self._limit)
        elif seconds > SLOW:
            self._most = max(self._most // 2, self._least)

    def _look_ahead(self) -> bool:
        """Plan one more and tell its source, if that can use it."""
        if self._planned == len(self._pieces):
            return False
        source = self._pieces[self._planned].tensor.source
        if not isinstance(source, AheadSource):
            return False
        if self._coming_bytes >= AHEAD_BYTES and len(self._coming) >= LEAST_AHEAD:
            return False
        self._plan()
        batch = self._coming[-1]
        source.expect(batch[0].offset, extent(batch))
        return True

    def _plan(self) -> bool:
        batch = first_batch(self._pieces, self._planned, self._most)
        if batch:
            self._planned += len(batch)
            self._coming.append(batch)
            self._coming_bytes += extent(batch)
        return bool(batch)
