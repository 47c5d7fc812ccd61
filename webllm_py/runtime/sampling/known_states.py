"""What the GPU knows of a grammar's automaton, and what it is told next."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from webllm_py.runtime.sampling.automaton import Automaton, AutomatonTables

__all__ = ["KnownStates"]

DEPTH = 12
"""How many steps from one state to another a text may be ahead of where it was looked."""
# How much room what is near may take: what is met must have some, too.
FILLED = 0.6


class KnownStates:
    """Tells the GPU of the states that texts come near to, as time allows.

    Args:
        tables: hold what the GPU knows.
    """

    def __init__(self, tables: AutomatonTables):
        self.tables = tables

    def begin(self, automaton: Automaton, *, free_elsewhere: bool) -> None:
        """Texts begin, or go on.

        Args:
            free_elsewhere: whether steps under the grammar end where the text is free.
        """
        if automaton.filled > FILLED:
            automaton.clear()
        self.tables.use(automaton)
        self.automaton = automaton
        self._free_elsewhere = free_elsewhere

    def stand(self, places: Mapping[int, tuple[Any, int]], least: int) -> None:
        """Let the GPU know where texts stand, with no step in flight.

        Args:
            places: of slots: a state, and how many tokens of the spelling there the text has.
            least: before so many draws a text does not end if it can go on.
        """
        automaton = self.automaton
        if automaton.full:
            automaton.clear()
        found = {slot: automaton.place(*place) for slot, place in places.items()}
        for number, _ in found.values():
            automaton.describe(number)
        self.tables.update()
        self.tables.stand(found, least)
        self._described = automaton.described

    def explore(self, states: Sequence[Any], seconds: float) -> float:
        """Tell the GPU of what is near states, for so long; how long it took."""
        begun = time.perf_counter()
        if self.automaton.filled > FILLED:
            return 0.0
        for done, state in enumerate(states, start=1):
            end = begun + seconds * done / len(states)
            near = self.automaton.near(self.automaton.number(state), DEPTH, self._is_wanted)
            for _ in near:
                if time.perf_counter() > end:
                    break
        self.tables.update()
        return time.perf_counter() - begun

    def knows_near(self, states: Sequence[Any]) -> bool:
        """Whether the GPU knows all that is near states."""
        automaton = self.automaton
        return all(automaton.knows_near(automaton.number(state), DEPTH) for state in states)

    async def learn(self, states: Sequence[Any], seconds: float) -> None:
        """Tell the GPU of what it stalled for, and of what is near states, for so long."""
        missing = self.tables.missing()
        try:
            self.explore(states, seconds)  # meanwhile
        finally:  # whatever became of that, what is read has to be awaited
            numbers = await missing
        for number in numbers:
            self.automaton.describe(number)
        self.tables.update()

    @property
    def gained(self) -> bool:
        """Whether the GPU was told of anything since it stands where it does."""
        return self.automaton.described > self._described

    def _is_wanted(self, number: int) -> bool:
        """Whether the GPU may go on from a state by itself."""
        return not (self._free_elsewhere and self.automaton.is_free(number))
