"""Decoding under constraints, with several steps in flight where the GPU knows where tokens lead.

What it does not know yet stalls it: the steps that were submitted behind do nothing. So the host
tells it of all that is near while it computes the prompt and its steps, and of what it lacked where
it stalls. Where there is no room for that the host gives it masks, and waits for each token. The
tokens are the same either way.

Answers that are decoded together stall together, for want of what any of them came to.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from webllm_py.runtime.executor import Executor
from webllm_py.runtime.generation.in_flight import MOST_AHEAD
from webllm_py.runtime.generation.masks import HostMasks
from webllm_py.runtime.generation.run import Run
from webllm_py.runtime.sampling.automaton import Automaton, AutomatonTables
from webllm_py.runtime.sampling.known_states import KnownStates

__all__ = ["Constrained"]

# Steps in flight at first, at least, and where nothing stalls: those behind a stall cost as much as
# others, so that each stall halves them, and each token that was drawn without one is one more. Of
# steps that are so short that more are in flight, how many seconds of work: a reading is waited for
# by then.
FIRST_AHEAD, FEWEST_AHEAD, SURE_AHEAD, SECONDS_AHEAD = 8, 2, 32, 0.004
# Tokens that leave no choice and are drawn all the same, at most: a pass over several takes as long
# as one step or two, but also a stall. On a CPU a step takes so long that waiting is nothing. Where
# each token's logits are wanted, or several answers go on together, all of them are drawn.
LONGEST, LONGEST_ON_CPU, LONGEST_DRAWN = 7, 1, 1 << 30
# Seconds for states that are near: while the prompt is computed, behind a stall, and of the time
# that the steps in flight will take, a share.
AT_FIRST, AT_A_STALL, SHARE = 0.004, 0.0005, 0.4
# Stalls in a row without a token, for each answer, each for want of something else: behind more
# there may be no room for all of that.
MOST_IN_VAIN = 24


class Constrained:
    """The tokens of a run's answers.

    Args:
        masks: know where the answers' texts stand.
        each_token: whether each token must be drawn, also where there is no choice.
        free_elsewhere: whether the caller takes over where the only text is free.
    """

    def __init__(self, run: Run, masks: HostMasks, *, each_token: bool, free_elsewhere: bool):
        self.run = run
        self.masks = masks
        self.places = masks.places
        self._each_token = each_token
        self._free_elsewhere = free_elsewhere
        self._most_ahead = FIRST_AHEAD
        self._over = set[int]()  # answers that nothing may follow
        self._refused = set[int]()  # those of them for which a refused token was drawn
        self._has_logits = False  # those of the next draws
        self._in_vain = 0  # stalls in a row before which nothing was drawn
        self._stuck = False  # the GPU cannot be told of what it lacks

    async def tokens(self) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Answers and their tokens, until the texts are over; or the caller goes on elsewhere, and
        comes back."""
        run, automaton = self.run, self.places[0].automaton
        self.states = await states_of(run.executor, automaton)
        self.states.begin(automaton, free_elsewhere=self._free_elsewhere)
        self._over.clear()
        self._refused.clear()
        self._has_logits = not run.newest
        if self._has_logits:
            run.device.replay(await run.decoder.plan("head"))
            self.states.explore(self._states, AT_FIRST)
        while self._leave() and run.issued < run.max_tokens:
            if certain := self._certain():
                yield 0, await self._put(certain)
                continue
            async with aclosing(self._one() if self._stuck else self._following()) as pieces:
                async for piece in pieces:
                    yield piece
            refused, self._refused = self._refused, set()
            for index in refused:
                await self.masks.check_refused(run, index)

    @property
    def _states(self) -> list[Any]:
        """Where the texts stand, each state once."""
        return [*{self.places[index].state: None for index in self.run.active}]

    def _goes_on(self, index: int) -> bool:
        """Whether an answer needs more tokens, and more may come."""
        return not (index in self._over or index in self.run.ended or self.places[index].is_ended)

    def _leave(self) -> bool:
        """Go on without the answers that have ended; whether there are others."""
        self.run.active = [index for index in self.run.active if self._goes_on(index)]
        return bool(self.run.active)

    @property
    def _longest(self) -> int:
        if self._each_token:
            return LONGEST_DRAWN
        return LONGEST_ON_CPU if self.run.device.info.is_cpu else LONGEST

    def _certain(self) -> Sequence[int]:
        """Tokens that leave the only answer no choice, if they are too many to be drawn."""
        coming = self.places[0].coming
        return coming if not self._each_token and len(coming) > self._longest else ()

    async def _put(self, spelling: Sequence[int]) -> list[int]:
        """Tokens that leave no choice, which go through the model together."""
        run = self.run
        tokens = [*spelling[: run.max_tokens - run.issued]]
        await run.put(tokens, pending=not self._has_logits)
        self._has_logits = True
        return self._accept(0, tokens)

    def _accept(self, index: int, tokens: list[int]) -> list[int]:
        """Note an answer's tokens: those up to where it ends."""
        for place, token in enumerate(tokens):
            if not self._goes_on(index):
                return tokens[:place]
            if not self.places[index].accept(token):  # there is none that may follow
                self._over.add(index)
                self._refused.add(index)
                return tokens[:place]
        return tokens

    async def _one(self) -> AsyncGenerator[tuple[int, list[int]], None]:
        """The next token of each answer, under masks that the host gives."""
        run = self.run
        await self.masks.prepare()
        mute = [index for index in run.active if not self.masks.put(index, run.issued)]
        if mute:
            self._over.update(mute)
            return
        self._stuck, self._in_vain = False, 0
        had_logits, self._has_logits = self._has_logits, False
        if not had_logits:
            await self._write_rows()
            run.device.replay(await run.forward_pass())
        await run.draw()
        _, read = await run.next_read()
        for index, tokens in read:
            yield index, self._accept(index, tokens)

    async def _write_rows(self) -> None:
        """Let the next step begin with the newest tokens."""
        run = self.run
        if run.full:
            await run.make_room()  # which writes them
        else:
            run.executor.write_rows([run.row(index) for index in run.active])

    async def _following(self) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Tokens that the GPU draws by itself, until it stalls or an answer ends."""
        with self.run.decoder.following(self.states.tables, self._longest):
            async with aclosing(self._until_stalled()) as pieces:
                async for piece in pieces:
                    yield piece

    async def _begin(self) -> bool:
        """Let the GPU go on from where the texts stand; whether it draws from logits first."""
        run, decoder = self.run, self.run.decoder
        had_logits, self._has_logits = self._has_logits, False
        if not had_logits:
            await self._write_rows()
        begun = time.perf_counter()
        places = {index: self.places[index] for index in run.active}
        stands = {index: (place.begun, place.spelled) for index, place in places.items()}
        self.states.stand(stands, self.masks.least)
        run.device.replay(await decoder.plan("stand", len(run.active)))
        self.masks.seconds.append(time.perf_counter() - begun)
        if had_logits:
            await run.draw()
        return had_logits

    async def _until_stalled(self) -> AsyncGenerator[tuple[int, list[int]], None]:
        """Tokens up to the first behind which the GPU does not know a state, or what may come; or
        up to the end of an answer, and those of the others that were in flight."""
        run = self.run
        had_logits = await self._begin()
        stalled, going_on, arrived, length = False, True, 0.0, 0
        while not stalled and (run.in_flight.waiting or (going_on and run.issued < run.max_tokens)):
            if going_on:
                await run.fill(self._most_ahead)
            if not run.in_flight.waiting:
                await run.make_room()
                continue
            waiting = SHARE * run.in_flight.waiting * run.pace.seconds
            explored = self.states.explore(self._states, waiting)
            count, read = await run.next_read()
            before, arrived = arrived, time.perf_counter()
            stalled = run.stalled
            drawn = len(read[0][1])
            length += drawn
            if not stalled:
                self._most_ahead = self._more_ahead(drawn)
                if before:
                    run.pace.took((arrived - before - explored) / count)
            for index, tokens in read:
                if accepted := self._accept(index, tokens):
                    yield index, accepted
            going_on = all(map(self._goes_on, run.active))
            if not any(map(self._goes_on, run.active)):
                return
        if stalled and going_on:
            await self._stalled_behind(length)
        if had_logits and not length and not run.newest:
            await self._again()

    def _more_ahead(self, count: int) -> int:
        """How many steps may be in flight after so many tokens without a stall."""
        most = max(SURE_AHEAD, int(SECONDS_AHEAD / self.run.pace.seconds))
        return min(MOST_AHEAD, most, self._most_ahead + count)

    async def _stalled_behind(self, length: int) -> None:
        """Tell the GPU of what it lacked behind so many tokens, and of what is near."""
        states = self._states
        self._most_ahead = max(FEWEST_AHEAD, self._most_ahead // 2)
        self._in_vain = 0 if length else self._in_vain + 1
        if length and self.states.knows_near(states):
            return  # it was told meanwhile
        await self.states.learn(states, AT_A_STALL)
        lost = not self.states.gained or self._in_vain > MOST_IN_VAIN * len(self.run.active)
        self._stuck = not length and lost

    async def _again(self) -> None:
        """Have the logits behind the prompt once more: the GPU stalled before the first draw."""
        run = self.run
        run.executor.go_on(run.sequences[0], run.active, drawn=run.issued)
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
