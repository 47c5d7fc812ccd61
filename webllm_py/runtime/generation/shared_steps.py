"""The decode steps of answers that are at different places, several of them in flight."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from webllm_py.errors import GPUOutOfMemoryError
from webllm_py.gpu.device import Plan
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.generation.members import Part
from webllm_py.runtime.generation.run import AHEAD_SECONDS, MOST_AHEAD, READ_SECONDS
from webllm_py.runtime.sampling.sampler import RING

__all__ = ["SharedSteps"]


class SharedSteps:
    """Steps of a decoder.

    Attributes:
        drawn: where in the ring the next step's tokens go.
    """

    def __init__(self, decoder: Decoder, drawn: int = 0):
        self.decoder = decoder
        self.executor = decoder.executor
        self.drawn = drawn % RING
        self._in_flight: deque[tuple[int, Awaitable[bytes]]] = deque()
        self._seconds_a_step = AHEAD_SECONDS  # until measured, one step at a time

    async def first(self, slots: Sequence[int], *, adapted: bool) -> list[int]:
        """The first token of answers to one prompt, whose last hidden state is there, in slots."""
        device, self.decoder.adapted = self.executor.device, adapted
        device.replay(await self.decoder.plan("head"))
        self._replay(await self.decoder.plan("first", len(slots)))
        words = await self._next_words()
        return [words[slot] for slot in slots]

    async def take(self, parts: Sequence[Part], most: int, ends: Callable[[], bool]) -> None:
        """Take at most ``most`` steps of all the parts, until ``ends`` says so, asked between
        read-backs. Nothing is in flight before and after."""
        cache = self.executor.cache
        for part in parts:
            try:
                part.position -= await cache.make_room(part.sequence, part.slot)
            except GPUOutOfMemoryError as error:
                part.member.fail(error)
                return
        self.executor.write_rows([part.row(self.drawn) for part in parts])
        most = min(most, *(self.executor.context_length - part.position for part in parts))
        arrived = 0.0
        while True:
            if not ends():
                most -= await self._fill(parts, most)
            if not self._in_flight:
                return
            count = self._in_flight[0][0]
            words = await self._next_words()
            before, arrived = arrived, time.perf_counter()
            if before:
                measured = max((arrived - before) / count, 1e-5)
                self._seconds_a_step = (self._seconds_a_step + measured) / 2
            for part in parts:
                part.take(list(words[part.slot :: self.decoder.slots]))
            await asyncio.sleep(0)  # those who get tokens may see a stop in them

    async def drain(self) -> None:
        """Wait for what is in flight, whatever becomes of it."""
        readings = [reading for _, reading in self._in_flight]
        self._in_flight.clear()
        await asyncio.gather(*readings, return_exceptions=True)

    async def _fill(self, parts: Sequence[Part], most: int) -> int:
        """Submit steps until as many are in flight as keep the GPU busy; how many."""
        target = max(1, min(MOST_AHEAD, int(AHEAD_SECONDS / self._seconds_a_step)))
        at_once = max(1, min(target // 2, int(READ_SECONDS / self._seconds_a_step)))
        submitted = 0
        while submitted < most and self._waiting < target:
            count = min(at_once, most - submitted, RING - self.drawn)
            if not await self._submit(parts, count):
                break
            submitted += count
        return submitted

    @property
    def _waiting(self) -> int:
        """Steps submitted but not read."""
        return sum(count for count, _ in self._in_flight)

    async def _submit(self, parts: Sequence[Part], count: int) -> bool:
        """Submit ``count`` steps; False: a part has no memory to go on, and is over."""
        executor, ahead = self.executor, self._waiting + count
        for part in parts:
            try:
                await executor.cache.reserve(part.sequence, part.position + ahead, part.slot)
            except GPUOutOfMemoryError as error:
                part.member.fail(error)
                return False
        keys = max(part.position for part in parts) + ahead + 1
        self.decoder.adapted = any(part.sequence.adapters for part in parts)
        self._replay(await self.decoder.step(len(parts), keys), count)
        return True

    def _replay(self, plan: Plan, count: int = 1) -> None:
        """Submit steps and the read-back of their tokens."""
        row, ring = 4 * self.decoder.slots, self.decoder.sampler.ring
        reading = self.executor.device.replay_and_read(
            plan, count, ring, row * self.drawn, row * count
        )
        self._in_flight.append((count, reading))
        self.drawn = (self.drawn + count) % RING

    async def _next_words(self) -> array[int]:
        """The ring's rows of the oldest steps in flight."""
        words = array("I", await self._in_flight[0][1])
        self._in_flight.popleft()
        return words
