"""Whose turn it is, in the order in which they asked: one's, or that of several who share it."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Line", "Place"]

MOST_SHARING = 8


class Line:
    """Where requests wait. Asking for a place does not wait, so no event loop can change the order.

    ::

        place = line.join()
        async with place:  # waits
            ...
    """

    def __init__(self) -> None:
        self._places: deque[Place] = deque()

    @property
    def busy(self) -> bool:
        """Whether it is somebody's turn."""
        return bool(self._places)

    @property
    def waiting(self) -> int:
        """How many have asked and not entered."""
        return sum(not place.entered for place in self._places)

    @property
    def entered(self) -> int:
        """How many have entered and not left."""
        return sum(place.entered for place in self._places)

    def interrupt(self, *, every: bool = False) -> None:
        """Ask the first one, whether it has entered or is about to, to end soon; or everyone."""
        for place in [*self._places][: None if every else 1]:
            place.interrupted = True

    def join(self, *, stays: bool = False, shares: bool = False) -> Place:
        """The last place. Whoever does not enter it must ``leave`` it.

        Args:
            stays: not to be sent away.
            shares: its turn may be that of others who share theirs, and come next to it.
        """
        place = Place(self, stays=stays, shares=shares)
        self._places.append(place)
        self._call()
        return place

    def send_away(self, error: Exception) -> None:
        """Those who have not entered yet get this error."""
        for place in [*self._places]:
            if not (place.entered or place.stays):
                place.call(error)

    def leave(self, place: Place) -> None:
        """Give a place up, in whatever part of the line it is; the first one is called."""
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
    """A place in a line; entering it waits for the turn, leaving it gives the turn back.

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
        """It is its turn; or there will be none, and why."""
        self._error = self._error or error
        if not self._called.done():
            self._called.set_result(None)

    def leave(self) -> None:
        """Give it up; doing so twice does nothing."""
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
