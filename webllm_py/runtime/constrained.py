"""Decoding under a constraint, with several steps in flight where the GPU knows where tokens lead.

What it does not know yet stalls it: the steps that were submitted behind do nothing. Where a state
is met for the first time the host gives it the mask and waits for each token, while the forward
pass behind it runs; in what time is left it tells the GPU of states that were met, or are near. The
tokens are the same either way.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

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
# Of the time that the steps in flight will take, how much is spent on states that may come, or were
# met.
SHARE = 0.4
# Whoever stalls behind fewer tokens than FEW waits for so many, one by one: at first, and twice as
# many each time that happens again, at most.
FEW, FIRST_WAITS, MOST_WAITS = 4, 2, 32
MOST_MET = 256  # tokens that the GPU was not told of yet; the oldest are forgotten
# How many states are told of beforehand at first, and at most. A stall shows that more are needed:
# so many, and as many as there were tokens before it; but none where these were few. Where all is
# new, what is looked at beforehand costs more than the wait that it may save.
STATES_AT_FIRST, MOST_STATES, STATES_A_STALL = 16, 32, 4
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
        self._left = 0  # states that may be told of beforehand
        self._has_logits = False  # those of the next draw, or they are being computed
        self._spelled: deque[int] = deque()  # tokens to come, of text that leaves no choice
        self._met: deque[tuple[Any, int | None]] = deque(maxlen=MOST_MET)
        self._spare = 0.0  # seconds for these
        self._to_wait = self._waits = 0  # for so many tokens; for how many the last time

    async def tokens(self) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Answers and their tokens, until the text is over; or its caller goes on elsewhere, and
        comes back."""
        run, decoder = self.run, self.run.decoder
        await in_slices(self.constraint.preparing())
        on_cpu = run.device.info.is_cpu
        longest = LONGEST_ON_CPU if on_cpu else LONGEST
        self.automaton = self.constraint.automaton(partial(spelled, self._vocabulary), longest)
        self.tables = await tables_of(run.executor)
        self.tables.use(self.automaton)
        if not self._is_told(self.automaton.number(self.constraint.state)):
            self._left = STATES_AT_FIRST  # else an answer before this one has been here
        self._spelled.clear()
        self._has_logits = not run.newest
        try:
            if self._has_logits:
                run.device.replay(await decoder.plan("head"))
            while run.active and run.issued < run.max_tokens and any(self.constraint.mask()):
                if certain := self._certain():
                    await run.put(certain, pending=not self._has_logits)
                    self._has_logits = True
                    for token in certain:
                        self.constraint.accept(token)
                    yield 0, list(certain)
                elif self._runs_ahead():
                    decoder.automaton = self.tables
                    async with aclosing(self._until_stalled()) as pieces:
                        async for tokens in pieces:
                            yield 0, tokens
                else:
                    decoder.automaton = None
                    yield 0, await self._one()
                if 0 in run.ended:
                    return
        finally:
            decoder.automaton = None

    def _certain(self) -> Sequence[int]:
        """Tokens that go through the model together."""
        if self._spelled:
            return ()
        return self.automaton.certain(self.constraint.state)[
            : self.run.max_tokens - self.run.issued
        ]

    def _runs_ahead(self) -> bool:
        """Whether the GPU knows the state, and is likely to know some behind it."""
        if self._to_wait:
            self._to_wait -= 1
            return False
        number = 0 if self._spelled else self.automaton.number(self.constraint.state)
        return bool(number) and self._is_told(number)

    async def _one(self) -> list[int]:
        """The next token, under a mask that the host gives."""
        run, state = self.run, self.constraint.state
        if not self._has_logits:
            run.executor.write_rows([run.row(0)])
            run.device.replay(await run.forward_pass())
        begun = time.perf_counter()
        if not self._spelled and (spelling := self.automaton.spelling(state)):
            self._spelled.extend(spelling)
            self._met.append((state, None))
        sampler = run.decoder.sampler
        mask = only(self._spelled[0], sampler.mask_bytes) if self._spelled else None
        sampler.mask(mask or self.constraint.mask())
        self._times.masks.append(time.perf_counter() - begun)
        await run.draw_one()
        self._has_logits = True
        self._tell_of_met()
        ((_, tokens),) = await run.read_one()
        for token in tokens:
            if self._spelled:
                self._spelled.popleft()
            else:
                self._met.append((state, token))
            self.constraint.accept(token)
        return tokens

    def _tell_of_met(self) -> None:
        """Tell the GPU of states that were met and where their tokens led, for so long that waiting
        takes little longer."""
        self._spare = min(self._spare, 0.0) + SHARE * self.run.seconds_a_step
        while self._met and self._spare > 0:
            begun = time.perf_counter()
            state, token = self._met.popleft()
            if self.tables.filled > FILLED:
                self._forget_all()
            number = self.automaton.number(state)
            if number and self._write(number) and token is not None:
                self._lead(number, token)
            self._spare -= time.perf_counter() - begun

    async def _until_stalled(self) -> AsyncGenerator[list[int], None]:
        """Tokens up to the first behind which the GPU does not know the state."""
        run = self.run
        self._at = self._begin()
        if self._has_logits:
            run.device.replay(await run.decoder.plan("sample" if run.newest else "first"))
            run.submitted(1)
            self._has_logits = False
        else:
            run.executor.write_rows([run.row(0)])
        stalled, arrived, length = False, 0.0, 0
        while not stalled and (run.in_flight or run.issued < run.max_tokens):
            await run.fill(self._most_ahead)
            if not run.in_flight:
                await run.make_room()
                continue
            explored = self._explore(SHARE * run.waiting * run.seconds_a_step)
            count, ((_, tokens),) = await run.next_read()
            before, arrived = arrived, time.perf_counter()
            stalled = run.stalled
            length += len(tokens)
            for token in tokens:
                self.constraint.accept(token)
                self._at = self._lead(self._at, token)
            if stalled:
                self._stalled_behind(length)
            else:
                self._most_ahead = min(MOST_AHEAD, self._most_ahead + len(tokens))
                if before:
                    run.paced((arrived - before - explored) / count)
            if tokens:
                yield tokens
            if 0 in run.ended:
                run.active = []
                return

    def _stalled_behind(self, length: int) -> None:
        """Draw conclusions from a stall behind so many tokens."""
        if self._at and not self._to_be_told(self._at):
            return  # it had to be
        self._most_ahead = max(1, self._most_ahead // 2)
        earned = STATES_A_STALL + length if length >= FEW else 0
        self._left = min(MOST_STATES, self._left + earned)
        self._waits = min(2 * self._waits or FIRST_WAITS, MOST_WAITS) if length < FEW else 0
        self._to_wait = self._waits

    def _begin(self) -> int:
        """Tell the GPU of the state that the text is in."""
        begun = time.perf_counter()
        number = self.automaton.number(self.constraint.state)
        if not number or not self._write(number):
            self._forget_all()
            number = self.automaton.number(self.constraint.state)
            self._write(number)
        self.tables.stand(number, self.automaton.place(number))
        self._times.masks.append(time.perf_counter() - begun)
        return number

    def _forget_all(self) -> None:
        """Make room in the tables, with nothing in flight that needs them."""
        self.automaton.clear()
        self.tables.clear()
        self._near.clear()
        self._looked_at.clear()

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

    def _lead(self, number: int, token: int) -> int:
        """The state behind a token, 0 without one; the GPU is told if it did not know."""
        new = not self.automaton.known(number, token)
        behind = self.automaton.behind(number, token)
        if new and behind:
            self._write_one(number, self.automaton.describe(number))
        return behind

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


def only(token: int, nbytes: int) -> bytes:
    """The mask of an only token."""
    return (1 << token).to_bytes(nbytes, "little")
