"""A queue of requests: first come, first served; several at once where they share a turn."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Line", "Place"]

MOST_SHARING = 8


class Line:
    """A queue. ``join`` does not await, so that the order is that of the calls.

    ::

        place = line.join()
        async with place:  # waits
            ...
    """

    def __init__(self) -> None:
        self._places: deque[Place] = deque()

    @property
    def busy(self) -> bool:
        """Whether any place is taken."""
        return bool(self._places)

    @property
    def waiting(self) -> int:
        """Number of places that have not been entered yet."""
        return sum(not place.entered for place in self._places)

    @property
    def entered(self) -> int:
        """Number of places that have been entered and not left."""
        return sum(place.entered for place in self._places)

    def interrupt(self, *, every: bool = False) -> None:
        """Ask the first place to end soon, whether it was entered yet or not; or ask every one."""
        for place in [*self._places][: None if every else 1]:
            place.interrupted = True

    def join(self, *, stays: bool = False, shares: bool = False) -> Place:
        """A place at the end of the queue. It must be entered, or else left with ``leave``.

        Args:
            stays: ``send_away`` does not concern it.
            shares: neighbours in the queue that share too may have their turn at the same time.
        """
        place = Place(self, stays=stays, shares=shares)
        self._places.append(place)
        self._call()
        return place

    def send_away(self, error: Exception) -> None:
        """Raise this error in those who wait to enter."""
        for place in [*self._places]:
            if not (place.entered or place.stays):
                place.call(error)

    def leave(self, place: Place) -> None:
        """Give up a place, wherever in the queue it is, and call those whose turn comes by that."""
        if place in self._places:
            self._places.remove(place)
            self._call()

    def _call(self) -> None:
        for number, place in enumerate([*self._places][:MOST_SHARING]):
            if number and not place.shares:
                break
            place.call()
            if not place.shares:
                break


class Place:
    """A place in a ``Line``: entering it waits for its turn, leaving it ends the turn.

    Attributes:
        entered: whether it has, or had, its turn.
        interrupted: whether it has been asked to end soon.
    """

    def __init__(self, line: Line, *, stays: bool = False, shares: bool = False):
        self.stays = stays
        self.shares = shares
        self.entered = False
        self.interrupted = False
        self._line = line
        self._called = asyncio.get_running_loop().create_future()
        self._error: Exception | None = None

    def call(self, error: Exception | None = None) -> None:
        """Begin its turn; or, with an error, tell that there will be none."""
        self._error = self._error or error
        if not self._called.done():
            self._called.set_result(None)

    def leave(self) -> None:
        """Give it up; a second time does nothing."""
        self._line.leave(self)

    async def __aenter__(self) -> Place:
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
