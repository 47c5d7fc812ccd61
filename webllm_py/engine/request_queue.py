"""A queue of requests: first come, first served; several at once where they share a turn."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["RequestQueue", "Turn"]

MOST_SHARING = 8


class RequestQueue:
    """A queue. ``join`` does not await, so that the order is that of the calls.

    ::

        turn = queue.join()
        async with turn:  # waits
            ...
    """

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque()

    @property
    def waiting(self) -> int:
        """Number of requests whose turn has not come yet."""
        return sum(not turn.entered for turn in self._turns)

    @property
    def entered(self) -> int:
        """Number of requests whose turn it is."""
        return sum(turn.entered for turn in self._turns)

    def interrupt(self, *, every: bool = False) -> None:
        """Ask the first request to end soon, whether its turn has come or not; or ask every one."""
        for turn in [*self._turns][: None if every else 1]:
            turn.interrupted = True

    def join(self, *, stays: bool = False, shares: bool = False) -> Turn:
        """A turn at the end of the queue. It must be entered, or else left with ``leave``.

        Args:
            stays: ``reject_waiting`` does not concern it.
            shares: neighbours in the queue that share too may have their turn at the same time.
        """
        turn = Turn(self, stays=stays, shares=shares)
        self._turns.append(turn)
        self._call()
        return turn

    def reject_waiting(self, error: Exception) -> None:
        """Raise this error in those who wait to enter."""
        for turn in [*self._turns]:
            if not (turn.entered or turn.stays):
                turn.call(error)

    def leave(self, turn: Turn) -> None:
        """Give up a turn, wherever in the queue it is, and call those whose turn comes then."""
        if turn in self._turns:
            self._turns.remove(turn)
            self._call()

    def _call(self) -> None:
        for number, turn in enumerate([*self._turns][:MOST_SHARING]):
            if number and not turn.shares:
                break
            turn.call()
            if not turn.shares:
                break


class Turn:
    """One request's turn in a ``RequestQueue``: entering waits for it, leaving ends it.

    Attributes:
        entered: whether it has come.
        interrupted: whether the request has been asked to end soon.
    """

    def __init__(self, queue: RequestQueue, *, stays: bool = False, shares: bool = False):
        self.stays = stays
        self.shares = shares
        self.entered = False
        self.interrupted = False
        self._queue = queue
        self._called = asyncio.get_running_loop().create_future()
        self._error: Exception | None = None

    def call(self, error: Exception | None = None) -> None:
        """Begin it; or, with an error, tell that there will be none."""
        self._error = self._error or error
        if not self._called.done():
            self._called.set_result(None)

    def leave(self) -> None:
        """Give it up; a second time does nothing."""
        self._queue.leave(self)

    async def __aenter__(self) -> Turn:
        try:
            await self._called
            if self._error:
                raise self._error
        except BaseException:
            self.leave()
            raise
        self.entered = True
        return self

    async def __aexit__(self, *error: object) -> None:
        self.leave()
