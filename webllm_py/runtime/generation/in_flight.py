"""Decode steps that were submitted, and the read-backs of their tokens.

Each read-back has a fixed cost for the host, so one covers all steps in flight but the last few.
Those keep the GPU at work while the host reads the others' tokens and submits more.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Container, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from webllm_py.errors import DeviceError, NotANumberError
from webllm_py.gpu.device import Buffer, Plan
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.kv.pages import Sequence as CachedSequence
from webllm_py.runtime.sampling.sampler import NOTHING, RING

__all__ = ["MOST_AHEAD", "InFlight", "Pace", "Read", "check_drawn"]

# Seconds of decoding that one read-back covers: so few that a reader does not notice that tokens
# come together, and more where they come quicker than anyone reads (seconds a token).
READ_SECONDS, QUICK_READ_SECONDS, QUICK = 0.03, 0.065, 0.005
# Seconds of work in flight behind it. All of it is computed in vain past a stop.
SPARE_SECONDS = 0.012
MOST_AHEAD = 128

NextPlan: TypeAlias = Callable[[int], Awaitable[tuple[int, Plan]]]
"""Given how many more steps are wanted: how many of them have the same plan, and that plan."""


class Pace:
    """How long a decode step takes, and so how many are in flight.

    Attributes:
        seconds: of a step. Until one is measured, one at a time is submitted.
    """

    def __init__(self) -> None:
        self.seconds = READ_SECONDS + SPARE_SECONDS

    def took(self, seconds: float) -> None:
        """Note how long a step took."""
        self.seconds = (self.seconds + max(seconds, 1e-5)) / 2

    def ahead(self, most: int) -> int:
        """Steps to have in flight, at most ``most``."""
        read = QUICK_READ_SECONDS if self.seconds < QUICK else READ_SECONDS
        return max(1, min(most, int((read + SPARE_SECONDS) / self.seconds)))

    def spare(self, ahead: int) -> int:
        """Those of them that are not read back yet."""
        return min(ahead // 2, math.ceil(SPARE_SECONDS / self.seconds))


class Read(NamedTuple):
    """What was read of ``steps`` steps.

    Attributes:
        tokens: (steps, slots), row by row.
        logprobs: what ``Logprobs.of_slot`` reads, where the decoder finds them.
    """

    steps: int
    tokens: array[int]
    logprobs: bytes


class InFlight:
    """The steps of a decoder that are in flight.

    Attributes:
        drawn: how many tokens each slot has drawn, or will have: where in the ring the next go.
        unread: steps that no read-back covers yet.
    """

    def __init__(self, decoder: Decoder, pace: Pace, drawn: int = 0):
        self.decoder = decoder
        self.pace = pace
        self.drawn = drawn
        self.unread = 0
        self._device = decoder.executor.device
        self._reading: deque[tuple[int, list[Awaitable[bytes]]]] = deque()
        self._in_vain: list[Awaitable[bytes]] = []

    @property
    def waiting(self) -> int:
        """Steps that were submitted and not read."""
        return self.unread + sum(steps for steps, _ in self._reading)

    async def fill(self, most: int, end: int, plan: NextPlan) -> None:
        """Submit steps until as many are in flight as keep the GPU busy, and a read-back.

        Args:
            most: in flight.
            end: how many tokens may have been drawn after them.
            plan: of the next steps.
        """
        ahead = self.pace.ahead(most)
        spare = 0
        if not self._reading:
            if end - self.drawn > ahead - self.unread:
                spare = self.pace.spare(ahead)
            await self._submit(ahead - spare - self.unread, end, plan, read=True)
        # Where fewer were to be in flight before, more are for a while.
        await self._submit(max(spare, ahead - self.waiting), end, plan, read=False)

    async def _submit(self, most: int, end: int, plan: NextPlan, *, read: bool) -> None:
        # A read-back does not go around the ring's end.
        room = RING - (self.drawn - self.unread) % RING - self.unread
        count = min(most, end - self.drawn, room)
        if count > 0:
            count, made = await plan(count)
            if read:
                self.replay(made, count)
            else:
                self._device.replay(made, count)
                self._count(count)
        elif read:
            self._read_unread()

    def replay(self, plan: Plan, times: int = 1) -> None:
        """Submit steps and the read-back of all that are unread."""
        first, steps = self.drawn - self.unread, self.unread + times
        tokens = self._device.replay_and_read(plan, times, *self._place(first, steps))
        self._count(times)
        self._reads(first, steps, tokens)

    def _read_unread(self) -> None:
        first, steps = self.drawn - self.unread, self.unread
        if steps:
            self._reads(first, steps, self._device.read(*self._place(first, steps)))

    def _place(self, first: int, steps: int) -> tuple[Buffer, int, int]:
        """Where steps' tokens are: a buffer, and bytes from its beginning."""
        row = 4 * self.decoder.slots
        return self.decoder.sampler.ring, row * (first % RING), row * steps

    def _reads(self, first: int, steps: int, tokens: Awaitable[bytes]) -> None:
        readings = [tokens]
        if self.decoder.logprobs:
            readings.append(self.decoder.logprobs.read(first, steps))
        self._reading.append((steps, readings))
        self.unread = 0

    def _count(self, steps: int) -> None:
        self.drawn += steps
        self.unread += steps

    async def next_read(self) -> Read:
        """Wait for the oldest steps."""
        if not self._reading:
            self._read_unread()
        steps, readings = self._reading[0]
        tokens, *logprobs = [await reading for reading in readings]
        self._reading.popleft()
        while self._in_vain:
            await self._in_vain.pop()
        return Read(steps, array("I", tokens), *logprobs or [b""])

    def drop(self, lost: int) -> None:
        """The last ``lost`` of the steps that were read drew nothing, nor do those in flight."""
        self.drawn -= lost + self.waiting
        # They must be awaited before later ones.
        self._in_vain += [reading for _, several in self._reading for reading in several]
        self._reading.clear()
        self.unread = 0

    async def drain(self) -> None:
        """Wait for what is in flight, whatever becomes of it."""
        with suppress(DeviceError):  # it was lost
            self._read_unread()
        self.unread = 0
        readings = [reading for _, several in self._reading for reading in several]
        await asyncio.gather(*readings, *self._in_vain, return_exceptions=True)
        self._reading.clear()
        self._in_vain.clear()


def check_drawn(tokens: Container[int], sequences: Sequence[CachedSequence]) -> None:
    """Check tokens that were drawn for sequences.

    Raises:
        NotANumberError: one could not be drawn. Of the sequences nothing is kept for later prompts.
    """
    if NOTHING in tokens:
        for sequence in sequences:
            sequence.tokens.clear()
            sequence.dropped.clear()
        raise NotANumberError
