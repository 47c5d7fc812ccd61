"""Decoding under a constraint, with several steps in flight where the GPU knows where tokens lead.

What it does not know yet stalls it: the steps that were submitted behind do nothing. Where a state
is met for the first time the host gives it the mask and waits for each token, while the forward
pass behind it runs; in what time is left it tells the GPU of states that were met, or are near. The
tokens are the same either way.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generation.run import MOST_AHEAD, Run
from webllm_py.runtime.generation.stepwise import (
    Constraint,
    StepTimes,
    Vocabulary,
    allows_any,
    in_slices,
    spelled,
)
from webllm_py.runtime.sampling.automaton import AutomatonTables
from webllm_py.runtime.sampling.known_states import KnownStates

__all__ = ["Constrained"]

# Steps in flight at first, and at least: those behind a stall cost as much as others, so that each
# stall halves them, and each token that was drawn without one is one more. Of steps that are so
# short that more are in flight, how many seconds of work: a reading is waited for by then.
FIRST_AHEAD, FEWEST_AHEAD, SECONDS_AHEAD = 8, 2, 0.004
# Tokens that leave no choice and are drawn all the same, at most: a pass over several takes as long
# as one step or two, but also a stall. On a CPU a step takes so long that waiting is nothing.
LONGEST, LONGEST_ON_CPU = 7, 1
# Of the time that the steps in flight will take, how much is spent on states that may come, or were
# met.
SHARE = 0.4
# Whoever stalls behind fewer tokens than FEW waits for so many, one by one: at first, and twice as
# many each time that happens again, at most.
FEW, FIRST_WAITS, MOST_WAITS = 4, 2, 8


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
        self._has_logits = False  # those of the next draw, or they are being computed
        self._to_wait = self._waits = 0  # for so many tokens; for how many the last time
        self._wait = run.seconds_a_step  # seconds of the last one

    async def tokens(self) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Answers and their tokens, until the text is over; or its caller goes on elsewhere, and
        comes back."""
        run, decoder = self.run, self.run.decoder
        await in_slices(self.constraint.preparing())
        on_cpu = run.device.info.is_cpu
        longest = LONGEST_ON_CPU if on_cpu else LONGEST
        self.automaton = self.constraint.automaton(partial(spelled, self._vocabulary), longest)
        self.states = await states_of(run.executor)
        self.states.begin(
            self.automaton, self.constraint.state, free_elsewhere=self._free_elsewhere
        )
        self._has_logits = not run.newest
        try:
            if self._has_logits:
                run.device.replay(await decoder.plan("head"))
            while run.active and run.issued < run.max_tokens and self._goes_on():
                state = self.constraint.state
                if certain := self.automaton.certain(state):
                    yield 0, await self._put(certain)
                elif self._runs_ahead(state):
                    decoder.automaton = self.states.tables
                    async with aclosing(self._until_stalled()) as pieces:
                        async for tokens in pieces:
                            yield 0, tokens
                elif spelling := self.automaton.spelling(state):
                    self.states.note(state, None)
                    yield 0, await self._put(spelling)
                else:
                    decoder.automaton = None
                    yield 0, await self._one()
                if 0 in run.ended:
                    return
        finally:
            decoder.automaton = None

    def _goes_on(self) -> bool:
        """Whether a token may follow."""
        return allows_any(self.constraint.mask())

    def _runs_ahead(self, state: Any) -> bool:
        """Whether the GPU knows a state, and is likely to know some behind it."""
        if self._to_wait:
            self._to_wait -= 1
            return False
        return self.states.leads_on(state)

    async def _put(self, spelling: Sequence[int]) -> list[int]:
        """Tokens that leave no choice, which go through the model together."""
        run = self.run
        run.decoder.automaton = None
        tokens = [*spelling[: run.max_tokens - run.issued]]
        await run.put(tokens, pending=not self._has_logits)
        self._has_logits = True
        for token in tokens:
            self.constraint.accept(token)
        return tokens

    async def _one(self) -> list[int]:
        """The next token, under a mask that the host gives."""
        run, state = self.run, self.constraint.state
        if not self._has_logits:
            run.executor.write_rows([run.row(0)])
            run.device.replay(await run.forward_pass())
        begun = time.perf_counter()
        run.decoder.sampler.mask(self.constraint.mask())
        self._times.masks.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        await run.draw_one()
        self._has_logits = True
        spent = self.states.tell_of_noted(self._wait)
        ((_, tokens),) = await run.read_one()
        self._wait = time.perf_counter() - begun - spent
        for token in tokens:
            self.states.note(state, token)
            self.constraint.accept(token)
        return tokens

    async def _until_stalled(self) -> AsyncGenerator[list[int], None]:
        """Tokens up to the first behind which the GPU does not know the state."""
        run = self.run
        begun = time.perf_counter()
        at = self.states.stand(self.constraint.state)
        self._times.masks.append(time.perf_counter() - begun)
        if self._has_logits:
            run.replay(await run.decoder.plan("sample" if run.newest else "first"))
            self._has_logits = False
        else:
            run.executor.write_rows([run.row(0)])
        stalled, arrived, length = False, 0.0, 0
        while not stalled and (run.in_flight or run.issued < run.max_tokens):
            await run.fill(self._most_ahead)
            if not run.in_flight:
                await run.make_room()
                continue
            explored = self.states.explore(at, SHARE * run.waiting * run.seconds_a_step)
            count, ((_, tokens),) = await run.next_read()
            before, arrived = arrived, time.perf_counter()
            stalled = run.stalled
            length += len(tokens)
            for token in tokens:
                self.constraint.accept(token)
                at = self.states.lead(at, token)
            if stalled and (not at or self.states.may_know(at)):
                self._stalled_behind(length)
            elif not stalled:
                self._most_ahead = self._more_ahead(len(tokens))
                if before:
                    run.paced((arrived - before - explored) / count)
            if tokens:
                yield tokens
            if 0 in run.ended:
                run.active = []
                return

    def _more_ahead(self, count: int) -> int:
        """How many steps may be in flight after so many tokens without a stall."""
        most = max(FIRST_AHEAD, int(SECONDS_AHEAD / self.run.seconds_a_step))
        return min(MOST_AHEAD, most, self._most_ahead + count)

    def _stalled_behind(self, length: int) -> None:
        """Draw conclusions from a stall behind so many tokens, which need not have been."""
        self._most_ahead = max(FEWEST_AHEAD, self._most_ahead // 2)
        if length < FEW:
            self._waits = min(2 * self._waits or FIRST_WAITS, MOST_WAITS)
        else:
            self._waits = 0
            self.states.missed(length)
        self._to_wait = self._waits


async def states_of(executor: Executor) -> KnownStates:
    """What an executor's GPU knows of states, with tables that are made when first needed.

    Raises:
        GPUOutOfMemoryError: there is no room for them.
    """
    if executor.known_states is None:
        tables = AutomatonTables(executor.device, executor.owner, executor.decoder.sampler)
        await executor.device.check()
        executor.known_states = KnownStates(tables)
    return executor.known_states
