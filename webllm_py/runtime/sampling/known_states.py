"""What the GPU knows of a grammar's automaton, and what it is told next."""

from __future__ import annotations

import time
from typing import Any

from webllm_py.runtime.sampling.automaton import Automaton, AutomatonTables

__all__ = ["KnownStates"]

DEPTH = 12
"""How many steps from one state to another a text may be ahead of where it was looked."""
# How much room what is near may take: what is met must have some, too.
FILLED = 0.6


class KnownStates:
    """Tells the GPU of the states that a text comes near to, as time allows.

    Args:
        tables: hold what the GPU knows.
    """

    def __init__(self, tables: AutomatonTables):
        self.tables = tables

    def begin(self, automaton: Automaton, *, free_elsewhere: bool) -> None:
        """A text begins, or goes on.

        Args:
            free_elsewhere: whether steps under the grammar end where the text is free.
        """
        if automaton.filled > FILLED:
            automaton.clear()
        self.tables.use(automaton)
        self.automaton = automaton
        self._free_elsewhere = free_elsewhere

    def stand(self, state: Any) -> None:
        """Let the GPU be in a state, with no step in flight."""
        automaton = self.automaton
        if automaton.full:
            automaton.clear()
        number = automaton.number(state)
        automaton.describe(number)
        self.tables.update()
        self.tables.stand(number)
        self._described = automaton.described

    def explore(self, state: Any, seconds: float) -> float:
        """Tell the GPU of what is near a state, for so long; how long it took."""
        begun = time.perf_counter()
        end = begun + seconds
        if self.automaton.filled > FILLED:
            return 0.0
        near = self.automaton.near(self.automaton.number(state), DEPTH, self._is_wanted)
        for _ in near:
            if time.perf_counter() > end:
                break
        self.tables.update()
        return time.perf_counter() - begun

    def knows_near(self, state: Any) -> bool:
        """Whether the GPU knows all that is near a state."""
        return self.automaton.knows_near(self.automaton.number(state), DEPTH)

    async def learn(self, state: Any, seconds: float) -> None:
        """Tell the GPU of what it stalled for, and of what is near a state, for so long."""
        missing = self.tables.missing()
        self.explore(state, seconds)  # meanwhile
        for number in await missing:
            self.automaton.describe(number)
        self.tables.update()

    @property
    def gained(self) -> bool:
        """Whether the GPU was told of anything since it stands where it does."""
        return self.automaton.described > self._described

    def _is_wanted(self, number: int) -> bool:
        """Whether the GPU may go on from a state by itself."""
        return not (self._free_elsewhere and self.automaton.is_free(number))
