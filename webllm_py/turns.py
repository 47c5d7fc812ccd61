"""Whose turn it is: one at a time, in the order in which they asked."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Line", "Place"]


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

    def interrupt(self) -> None:
        """Ask the first one, whether it has entered or is about to, to end soon."""
        if self._places:
            self._places[0].interrupted = True

    def join(self, *, stays: bool = False) -> Place:
        """The last place. Whoever does not enter it must ``leave`` it.

        Args:
            stays: not to be sent away.
        """
        place = Place(self, stays=stays)
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
        if self._places:
            self._places[0].call()


class Place:
    """A place in a line; entering it waits for the turn, leaving it gives the turn back.

    Attributes:
        entered: whether it has, or had, its turn.
        interrupted: whether it has been asked to end soon.
    """

    def __init__(self, line: Line, *, stays: bool = False):
        self.stays = stays
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
