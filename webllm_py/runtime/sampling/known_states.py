"""What the GPU knows of a grammar's automaton, and what it is told next."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from webllm_py.runtime.sampling.automaton import Automaton, AutomatonTables, Description

__all__ = ["KnownStates"]

MOST_MET = 256  # tokens that the GPU was not told of yet; the oldest are forgotten
# How many states are told of beforehand at first, and at most. A stall shows that more are needed:
# so many, and as many as there were tokens before it.
AT_FIRST, MOST, A_STALL = 16, 32, 4
# How many wait for their turn, and how much room they may take: what is met must have some, too.
MOST_WAITING = 1024
FILLED = 0.6


class KnownStates:
    """Tells the GPU of states as texts meet them, and of those that are near, as time allows.

    Args:
        tables: hold what the GPU knows.
    """

    def __init__(self, tables: AutomatonTables):
        self.tables = tables
        self._near: deque[int] = deque(maxlen=MOST_WAITING)
        self._looked_at: set[int] = set()
        self._met: deque[tuple[Any, int | None]] = deque(maxlen=MOST_MET)
        self._cost = 0.0  # seconds of one of those that are near, lately

    def begin(self, automaton: Automaton, start: Any, *, free_elsewhere: bool) -> None:
        """A text begins, or goes on.

        Args:
            start: the state that it is in.
            free_elsewhere: whether steps under the grammar end where the text is free.
        """
        if self.tables.use(automaton):
            self._looked_at.clear()
            self._met.clear()
        self.automaton = automaton
        self._free_elsewhere = free_elsewhere
        self._near.clear()
        if automaton.crowded:
            self._forget_all()
        self._spare = 0.0  # seconds for what was met
        # States that may be told of beforehand: none where an answer before this one has been.
        self._left = 0 if self.knows(start) else AT_FIRST

    def knows(self, state: Any) -> bool:
        """Whether the GPU does."""
        number = self.automaton.number(state)
        return bool(number) and self._is_told(number)

    def leads_on(self, state: Any) -> bool:
        """Whether the GPU knows a state, and where a token leads from there."""
        number = self.automaton.number(state)
        if not number or not self._is_told(number):
            return False
        known = self.automaton.describe(number)
        return bool(known.pairs or known.by_class)

    def stand(self, state: Any) -> int:
        """Let the GPU be in a state; its number."""
        number = self.automaton.number(state)
        if not number or not self._tell(number):
            self._forget_all()
            number = self.automaton.number(state)
            self._tell(number)
        self.tables.stand(number, self.automaton.place(number))
        return number

    def lead(self, number: int, token: int) -> int:
        """The state behind a token, 0 without one; the GPU is told if it did not know."""
        new = not self.automaton.known(number, token)
        behind = self.automaton.behind(number, token)
        if new and behind:
            self._write(number, self.automaton.describe(number))
        return behind

    def note(self, state: Any, token: int | None) -> None:
        """A token was drawn in a state, or all that it spells is known: to be told of later."""
        self._met.append((state, token))

    def tell_of_noted(self, seconds: float) -> float:
        """Tell the GPU of what was noted, with no step in flight that needs the tables, for so long
        on average; how long it took."""
        self._spare = min(self._spare, 0.0) + seconds
        spent = self._tell_of_met(self._spare, may_forget=True)
        self._spare -= spent
        return spent

    def explore(self, at: int, seconds: float) -> float:
        """Tell the GPU of what was noted, and where stalls ask for it of states that may come
        behind one, for so long: the nearest ones first. How long it took."""
        spent = self._tell_of_met(seconds, may_forget=False)
        if self._left <= 0:
            return spent
        start = now = time.perf_counter()
        end = start + seconds - spent
        if at and at not in self._looked_at:
            self._near.appendleft(at)
        while self._near and self._left > 0 and now + self._cost < end:
            if self.tables.filled > FILLED:
                self._near.clear()
                break
            number = self._near.popleft()
            if self._is_told(number):
                self._look_behind(number, nearest=number == at)
            elif self.may_know(number):
                self._left -= 1
                self._tell(number)
                self._near.appendleft(number)
            before, now = now, time.perf_counter()
            self._cost = (self._cost + now - before) / 2
        return spent + now - start

    def _tell_of_met(self, seconds: float, *, may_forget: bool) -> float:
        start = now = time.perf_counter()
        while self._met and now - start < seconds:
            if self.tables.filled > FILLED:
                if not may_forget:
                    break
                self._forget_all()
            state, token = self._met.popleft()
            number = self.automaton.number(state)
            if number and self._tell(number) and token is not None:
                self.lead(number, token)
            now = time.perf_counter()
        return now - start

    def missed(self, tokens: int) -> None:
        """One was missing behind so many tokens: more are to be told of beforehand."""
        self._left = min(MOST, self._left + A_STALL + tokens)

    def may_know(self, number: int) -> bool:
        """Whether the GPU may go on from a state by itself."""
        elsewhere = self._free_elsewhere and self.automaton.is_free(number)
        return not elsewhere and not self.automaton.certain_behind(number)

    def _is_told(self, number: int) -> bool:
        return self.tables.knows(self.automaton.place(number))

    def _tell(self, number: int) -> bool:
        """Tell the GPU of a state; False: there is no room."""
        return self._is_told(number) or all(
            self._write(other, known) for other, known in self.automaton.described(number)
        )

    def _write(self, number: int, known: Description) -> bool:
        place = self.automaton.place(number)
        if not place.state and not self.tables.write_frame(place, self.automaton.ends(place.frame)):
            return False
        return self.tables.write(place, known)

    def _look_behind(self, number: int, *, nearest: bool) -> None:
        """Tell the GPU of what is behind a state's tokens, and let the states there have a turn."""
        if number in self._looked_at:
            return
        self._looked_at.add(number)
        known = self.automaton.describe(number)
        new = not known.looked
        following = self.automaton.following(number)
        if new:
            self._write(number, known)
        new_ones = [other for other in following if other not in self._looked_at]
        if nearest:
            self._near.extendleft(reversed(new_ones))
        elif len(self._near) + len(new_ones) < MOST_WAITING:
            self._near.extend(new_ones)

    def _forget_all(self) -> None:
        """Make room in the tables."""
        self.automaton.clear()
        self.tables.clear()
        self._near.clear()
        self._looked_at.clear()
