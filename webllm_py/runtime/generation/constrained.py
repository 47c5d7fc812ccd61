"""Decoding under a constraint, with several steps in flight where the GPU knows where tokens lead.

What it does not know yet stalls it: the steps that were submitted behind do nothing. So the host
tells it of all that is near while it computes the prompt and its steps, and of what it lacked where
it stalls. Where there is no room for that the host gives it masks, and waits for each token. The
tokens are the same either way.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generation.in_flight import MOST_AHEAD
from webllm_py.runtime.generation.run import Run
from webllm_py.runtime.generation.stepwise import (
    Constraint,
    StepTimes,
    Vocabulary,
    allows_any,
    in_slices,
    spelled,
)
from webllm_py.runtime.sampling.automaton import Automaton, AutomatonTables
from webllm_py.runtime.sampling.known_states import KnownStates

__all__ = ["Constrained"]

# Steps in flight at first, at least, and where nothing stalls: those behind a stall cost as much as
# others, so that each stall halves them, and each token that was drawn without one is one more. Of
# steps that are so short that more are in flight, how many seconds of work: a reading is waited for
# by then.
FIRST_AHEAD, FEWEST_AHEAD, SURE_AHEAD, SECONDS_AHEAD = 8, 2, 32, 0.004
# Tokens that leave no choice and are drawn all the same, at most: a pass over several takes as long
# as one step or two, but also a stall. On a CPU a step takes so long that waiting is nothing.
LONGEST, LONGEST_ON_CPU = 7, 1
# Seconds for states that are near: while the prompt is computed, behind a stall, and of the time
# that the steps in flight will take, a share.
AT_FIRST, AT_A_STALL, SHARE = 0.004, 0.0005, 0.4
# Stalls in a row without a token, each for want of something else: behind more there may be no
# room for all of that.
MOST_IN_VAIN = 24


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
        self._in_vain = 0  # stalls in a row before which nothing was drawn
        self._stuck = False  # the GPU cannot be told of what it lacks

    async def tokens(self) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Answers and their tokens, until the text is over; or its caller goes on elsewhere, and
        comes back."""
        run, decoder = self.run, self.run.decoder
        longest = LONGEST_ON_CPU if run.device.info.is_cpu else LONGEST
        self.automaton = self.constraint.automaton(partial(spelled, self._vocabulary), longest)
        self.states = await states_of(run.executor, self.automaton)
        self.states.begin(self.automaton, free_elsewhere=self._free_elsewhere)
        self._has_logits = not run.newest
        try:
            if self._has_logits:
                run.device.replay(await decoder.plan("head"))
                self.states.explore(self.constraint.state, AT_FIRST)
            while run.active and run.issued < run.max_tokens and not self.constraint.is_ended:
                if certain := self.automaton.certain(self.constraint.state):
                    yield 0, await self._put(certain)
                elif self._stuck:
                    await in_slices(self.constraint.preparing())
                    if not allows_any(self.constraint.mask()):
                        return
                    yield 0, await self._one()
                else:
                    decoder.automaton = self.states.tables
                    async with aclosing(self._until_stalled()) as pieces:
                        async for tokens in pieces:
                            yield 0, tokens
                    decoder.automaton = None
                if 0 in run.ended:
                    return
        finally:
            decoder.automaton = None

    async def _put(self, spelling: Sequence[int]) -> list[int]:
        """Tokens that leave no choice, which go through the model together."""
        run = self.run
        tokens = [*spelling[: run.max_tokens - run.issued]]
        await run.put(tokens, pending=not self._has_logits)
        self._has_logits = True
        for token in tokens:
            self.constraint.accept(token)
        return tokens

    async def _one(self) -> list[int]:
        """The next token, under a mask that the host gives."""
        run = self.run
        self._stuck, self._in_vain = False, 0
        if not self._has_logits:
            run.executor.write_rows([run.row(0)])
            run.device.replay(await run.forward_pass())
        begun = time.perf_counter()
        run.decoder.sampler.mask(self.constraint.mask())
        self._times.masks.append(time.perf_counter() - begun)
        await run.draw_one()
        self._has_logits = True
        ((_, tokens),) = await run.read_one()
        for token in tokens:
            self.constraint.accept(token)
        return tokens

    async def _until_stalled(self) -> AsyncGenerator[list[int], None]:
        """Tokens up to the first behind which the GPU does not know the state, or what may come."""
        run = self.run
        had_logits, self._has_logits = self._has_logits, False
        if not had_logits:
            run.executor.write_rows([run.row(0)])
        begun = time.perf_counter()
        self.states.stand(self.constraint.state)
        run.device.replay(await run.decoder.plan("stand"))
        self._times.masks.append(time.perf_counter() - begun)
        if had_logits:
            run.in_flight.replay(await run.decoder.plan("sample" if run.newest else "first"))
        stalled, arrived, length = False, 0.0, 0
        while not stalled and (run.in_flight.waiting or run.issued < run.max_tokens):
            await run.fill(self._most_ahead)
            if not run.in_flight.waiting:
                await run.make_room()
                continue
            waiting = SHARE * run.in_flight.waiting * run.pace.seconds
            explored = self.states.explore(self.constraint.state, waiting)
            count, ((_, tokens),) = await run.next_read()
            before, arrived = arrived, time.perf_counter()
            stalled = run.stalled
            length += len(tokens)
            for place, token in enumerate(tokens):
                if not self.constraint.accept(token):  # there is none that may follow
                    tokens, run.active = tokens[:place], []
                    break
            if not stalled:
                self._most_ahead = self._more_ahead(len(tokens))
                if before:
                    run.pace.took((arrived - before - explored) / count)
            if tokens:
                yield tokens
            if 0 in run.ended or not run.active:
                run.active = []
                return
        if stalled and not self.constraint.is_ended:
            await self._stalled_behind(length)
        if had_logits and not length and not run.newest:
            await self._again()

    def _more_ahead(self, count: int) -> int:
        """How many steps may be in flight after so many tokens without a stall."""
        most = max(SURE_AHEAD, int(SECONDS_AHEAD / self.run.pace.seconds))
        return min(MOST_AHEAD, most, self._most_ahead + count)

    async def _stalled_behind(self, length: int) -> None:
        """Tell the GPU of what it lacked behind so many tokens, and of what is near."""
        self._most_ahead = max(FEWEST_AHEAD, self._most_ahead // 2)
        self._in_vain = 0 if length else self._in_vain + 1
        if length and self.states.knows_near(self.constraint.state):
            return  # it was told meanwhile
        await self.states.learn(self.constraint.state, AT_A_STALL)
        lost = not self.states.gained or self._in_vain > MOST_IN_VAIN
        self._stuck = not length and lost

    async def _again(self) -> None:
        """Have the logits behind the prompt once more: the GPU stalled before the first draw."""
        run = self.run
        run.executor.go_on(run.sequences[0], drawn=run.issued)
        run.device.replay(await run.decoder.plan("head"))
        self._has_logits = True


async def states_of(executor: Executor, automaton: Automaton) -> KnownStates:
    """What an executor's GPU knows of states, with tables that are made when first needed.

    Raises:
        GPUOutOfMemoryError: there is no room for them.
    """
    if executor.known_states is None:
        sampler = executor.decoder.sampler
        tables = AutomatonTables(executor.device, executor.owner, sampler, automaton)
        await executor.device.check()
        executor.known_states = KnownStates(tables)
    return executor.known_states
