"""Decoding under a constraint, with several steps in flight: the GPU knows where tokens lead.

What it does not know yet stalls it: the steps that were submitted behind do nothing, and the host
writes what was missing and goes on. The tokens are the same wherever that happens. While the GPU
works, the host tells it of states that are near.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from webllm_py.runtime.automaton import AutomatonTables, Description
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.run import MOST_AHEAD, Run
from webllm_py.runtime.stepwise import Constraint, StepTimes, Vocabulary, in_slices, spelled

__all__ = ["Constrained"]

# Steps in flight at first: those behind a stall cost as much as others, so that each stall halves
# them, and each token that was drawn without one is one more.
FIRST_AHEAD = 8
# Tokens that leave no choice and are drawn all the same, at most: a pass over several takes as long
# as one step or two, but also a stall. On a CPU a step takes so long that waiting is nothing.
LONGEST, LONGEST_ON_CPU = 7, 1
# Of the time that the steps in flight will take, how much is spent on states that may come.
SHARE = 0.4
# How many of them at first, and at most. A stall shows that more are needed: so many, and as many
# as there were tokens before it; but none where these were fewer than FAR. Where all is new, what
# is looked at beforehand costs more than the wait that it may save.
STATES_AT_FIRST, MOST_STATES, STATES_A_STALL, FAR = 16, 32, 4, 2
# How many wait for their turn, and how much room they may take: what is met must have some, too.
MOST_WAITING = 1024
FILLED = 0.6


class Constrained:
    """The only answer's tokens.

    Args:
        vocabulary: knows how text that leaves no choice is spelled.
        free_elsewhere: whether the caller takes over where the text is free.
        times: to be filled in.
    """

    def __init__(
        self,
        run: Run,
        constraint: Constraint,
        vocabulary: Vocabulary | None,
        times: StepTimes,
        *,
        free_elsewhere: bool,
    ):
        self.run = run
        self.constraint = constraint
        self._vocabulary = vocabulary
        self._times = times
        self._free_elsewhere = free_elsewhere
        self._most_ahead = FIRST_AHEAD
        self._near: deque[int] = deque(maxlen=MOST_WAITING)
        self._looked_at: set[int] = set()
        self._left = STATES_AT_FIRST
        self._passed = 0  # tokens since the last stall

    async def tokens(self) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Answers and their tokens, until the text is over."""
        run, decoder = self.run, self.run.decoder
        await in_slices(self.constraint.preparing())
        on_cpu = run.device.info.is_cpu
        longest = LONGEST_ON_CPU if on_cpu else LONGEST
        self.automaton = self.constraint.automaton(partial(spelled, self._vocabulary), longest)
        decoder.automaton = self.tables = await tables_of(run.executor)
        self.tables.use(self.automaton)
        try:
            if not run.newest:
                run.device.replay(await decoder.plan("head"))
            while run.active and run.issued < run.max_tokens and any(self.constraint.mask()):
                if certain := self.automaton.certain(self.constraint.state):
                    certain = certain[: run.max_tokens - run.issued]
                    await run.put(certain, pending=True)
                    for token in certain:
                        self.constraint.accept(token)
                    yield 0, list(certain)
                else:
                    async with aclosing(self._until_stalled()) as pieces:
                        async for tokens in pieces:
                            yield 0, tokens
                if 0 in run.ended:
                    return
        finally:
            decoder.automaton = None

    async def _until_stalled(self) -> AsyncGenerator[list[int], None]:
        """Tokens up to the first behind which the GPU does not know the state."""
        run = self.run
        self._at = self._begin()
        if run.newest:
            run.executor.write_rows([run.row(0)])
        else:
            run.device.replay(await run.decoder.plan("first"))
            run.submitted(1)
        stalled, arrived = False, 0.0
        while not stalled and (run.in_flight or run.issued < run.max_tokens):
            await run.fill(self._most_ahead)
            if not run.in_flight:
                await run.make_room()
                continue
            explored = self._explore(SHARE * run.waiting * run.seconds_a_step)
            count, ((_, tokens),) = await run.next_read()
            before, arrived = arrived, time.perf_counter()
            stalled = run.stalled
            self._passed += len(tokens)
            if stalled:
                self._most_ahead = max(1, self._most_ahead // 2)
                earned = STATES_A_STALL + self._passed if self._passed >= FAR else 0
                self._left = min(MOST_STATES, self._left + earned)
                self._passed = 0
            else:
                self._most_ahead = min(MOST_AHEAD, self._most_ahead + len(tokens))
                if before:
                    run.paced((arrived - before - explored) / count)
            for token in tokens:
                self._accept(token)
            if tokens:
                yield tokens
            if 0 in run.ended:
                run.active = []
                return

    def _begin(self) -> int:
        """Tell the GPU of the state that the text is in."""
        begun = time.perf_counter()
        number = self.automaton.number(self.constraint.state)
        if not number or not self._write(number):
            self.automaton.clear()
            self.tables.clear()
            self._near.clear()
            self._looked_at.clear()
            number = self.automaton.number(self.constraint.state)
            self._write(number)
        self.tables.stand(number, self.automaton.place(number))
        self._times.masks.append(time.perf_counter() - begun)
        return number

    def _write(self, number: int) -> bool:
        """Tell the GPU of a state; False: there is no room."""
        return self._is_told(number) or all(
            self._write_one(other, known) for other, known in self.automaton.described(number)
        )

    def _write_one(self, number: int, known: Description) -> bool:
        place = self.automaton.place(number)
        if not place.state and not self.tables.write_frame(place, self.automaton.ends(place.frame)):
            return False
        return self.tables.write(place, known)

    def _is_told(self, number: int) -> bool:
        return self.tables.knows(self.automaton.place(number))

    def _accept(self, token: int) -> None:
        """Take note of a token; what the GPU did not know, it is told."""
        self.constraint.accept(token)
        before = self._at
        new = not self.automaton.known(before, token)
        self._at = self.automaton.behind(before, token)
        if new and self._at:
            self._write_one(before, self.automaton.describe(before))

    def _explore(self, seconds: float) -> float:
        """Tell the GPU of states that may come, for so long: the nearest ones first. How long it
        took."""
        begun = now = time.perf_counter()
        if self._at and self._at not in self._looked_at:
            known = self.automaton.describe(self._at)
            if known.wide and not known.looked:
                self._look_behind(self._at)
            else:
                self._near.appendleft(self._at)
        while self._near and self._left > 0 and now < begun + seconds:
            if self.tables.filled > FILLED:
                self._near.clear()
                break
            number = self._near.popleft()
            if self._is_told(number):
                self._look_behind(number)
            elif self._to_be_told(number):
                self._left -= 1
                self._write(number)
                self._near.appendleft(number)
            now = time.perf_counter()
        return now - begun

    def _look_behind(self, number: int) -> None:
        """Tell the GPU of what is behind a state's tokens, and let the states there have a turn."""
        if number in self._looked_at:
            return
        self._looked_at.add(number)
        known = self.automaton.describe(number)
        new = not known.looked
        following = self.automaton.following(number)
        if new:
            self._write_one(number, known)
        new_ones = [other for other in following if other not in self._looked_at]
        if number == self._at:
            self._near.extendleft(reversed(new_ones))
        elif len(self._near) + len(new_ones) < MOST_WAITING:
            self._near.extend(new_ones)

    def _to_be_told(self, number: int) -> bool:
        """Whether the GPU may go on from a state by itself."""
        automaton = self.automaton
        elsewhere = self._free_elsewhere and automaton.is_free(number)
        return not elsewhere and not automaton.certain_behind(number)


async def tables_of(executor: Executor) -> AutomatonTables:
    """An executor's tables, made when they are first needed.

    Raises:
        GPUOutOfMemoryError: there is no room for them.
    """
    if executor.automaton is None:
        tables = AutomatonTables(executor.device, executor.owner, executor.decoder.sampler)
        await executor.device.check()
        executor.automaton = tables
    return executor.automaton
