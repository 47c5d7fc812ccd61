"""Speculative decoding: tokens guessed from the text so far, several verified in one step.

It begins where guesses came true for a while, so that texts that do not repeat themselves lose
nothing, and ends when it is no faster than single steps. A draw depends on the tokens before it and
its position alone, so the tokens are those that single steps would have drawn, sampled ones too.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from functools import cached_property
from typing import TYPE_CHECKING

from webllm_py.errors import GPUOutOfMemoryError
from webllm_py.gpu.device import Plan
from webllm_py.models.step import SLOTS, Row
from webllm_py.runtime.generation.lookup import Lookup

if TYPE_CHECKING:
    from webllm_py.runtime.decoder import Verifier
    from webllm_py.runtime.generation.run import Run

__all__ = ["Speculation"]

# Tokens in a row that came as guessed before it begins; twice as many after each failure.
STREAK = 6
# Steps in flight, each after the first for one whose guesses were all right: what is read took the
# GPU less time than its way to the host. A wrong guess leaves those behind it a token each.
MOST_AHEAD = 4


class Speculation:
    """Guesses for a run's only answer."""

    def __init__(self, run: Run):
        self.run = run
        self._needed = STREAK
        self._verifier: Verifier | None = None
        self._compiling: asyncio.Task[Plan] | None = None
        self._verifying: deque[tuple[int, Awaitable[bytes]]] = deque()

    @cached_property
    def lookup(self) -> Lookup:
        """The text so far."""
        return Lookup(self.run.prompt)

    @property
    def near(self) -> bool:
        """Whether it may begin with one of the next tokens."""
        return self.lookup.streak >= self._needed // 2 and self._rows >= 3

    async def promising(self, tokens: list[int]) -> bool:
        """Take note of tokens that arrived; whether to guess those that follow.

        A model's first promise only starts to compile the step's kernels, which goes on beside
        decoding.
        """
        for token in tokens:
            self.lookup.add(token)
        if self.lookup.streak < self._needed or self._rows < 3:
            return False
        if self._compiling is None:
            await self._prepare()
        if self._compiling is None or not self._compiling.done():
            return False
        if self._compiling.exception():
            self._needed = self.run.max_tokens  # single steps work, so they go on
            return False
        return True

    async def _prepare(self) -> None:
        run = self.run
        try:
            self._verifier = await run.decoder.verify_guesses()
        except GPUOutOfMemoryError:
            self._needed = run.max_tokens  # no room to guess in
            return
        self._compiling = asyncio.ensure_future(self._verifier.plan())
        await asyncio.sleep(0)  # done at once where an answer before has guessed too

    async def close(self) -> None:
        """Wait for what it began."""
        readings = (reading for _, reading in self._verifying)
        await asyncio.gather(*readings, return_exceptions=True)
        if self._compiling:
            await asyncio.gather(self._compiling, return_exceptions=True)

    @property
    def _rows(self) -> int:
        """Most rows of the next step."""
        return min(SLOTS, self.run.executor.chunk, self._left)

    @property
    def _left(self) -> int:
        """Tokens that may follow those that were read."""
        return self.run.max_tokens - self.run.issued

    async def tokens(self) -> AsyncIterator[list[int]]:
        """What was in flight, then tokens as they are verified, as long as guessing is faster.

        After steps whose guesses were all right, others are submitted before they are read.
        """
        run = self.run
        while run.in_flight.waiting:
            _, read = await run.next_read()
            for token in read[0][1]:
                self.lookup.add(token)
            yield read[0][1]
        tokens = steps = 0
        began = time.perf_counter()
        ahead = 1
        while True:
            go_on = 0 not in run.ended and not run.wanted()
            while go_on and len(self._verifying) < ahead and await self._submit():
                pass
            if not self._verifying:
                break
            guesses, accepted = await self._next()
            tokens, steps = tokens + len(accepted), steps + 1
            yield accepted
            if len(accepted) > guesses:
                ahead = min(ahead + 1, MOST_AHEAD)
            elif time.perf_counter() - began < tokens * run.pace.seconds:
                ahead = 1
            else:
                ahead = 0
        if tokens < 2 * steps:
            self._needed *= 2

    async def _submit(self) -> bool:
        """Submit a step that verifies guesses, if there are any to make.

        They go on from what is in flight as if all of that were right.
        """
        run, verifier = self.run, self._verifier
        assert verifier is not None
        assumed = sum(guesses + 1 for guesses, _ in self._verifying)
        most = min(self._rows, self._left - assumed) - 1
        guesses = self.lookup.guesses(assumed + most)[assumed:] if most > 0 else []
        if not guesses:
            return False
        first = run.row(0)
        base = first.position + assumed
        rows = [Row(token, base + i) for i, token in enumerate(guesses, start=1)]
        await run.reserve(assumed + len(guesses) + 1)
        plan = await verifier.plan()
        if assumed:
            run.executor.write_guesses(rows)
        else:
            run.executor.write_rows([first, *rows])
        size = 4 * (verifier.rows + 1)
        reading = run.device.replay_and_read(plan, 1, verifier.accepted, 0, size)
        self._verifying.append((len(guesses), reading))
        return True

    async def _next(self) -> tuple[int, list[int]]:
        """The oldest step in flight: how many guesses it had, and the tokens that it gave, those
        that it drew as guessed and one more."""
        guesses, reading = self._verifying[0]
        words = array("I", await reading)
        self._verifying.popleft()
        accepted = list(words[1 : 1 + words[0]])
        self.run.issued += len(accepted)
        self.run.keep(0, accepted)
        for token in accepted:
            self.lookup.add(token)
        return guesses, accepted
