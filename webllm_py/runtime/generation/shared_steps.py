"""The decode steps of answers that are at different places, several of them in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from webllm_py.errors import GPUOutOfMemoryError, NotANumberError
from webllm_py.gpu.device import Plan
from webllm_py.runtime.decoder import Decoder
from webllm_py.runtime.generation.in_flight import MOST_AHEAD, InFlight, Pace, check_drawn
from webllm_py.runtime.generation.members import Part

__all__ = ["SharedSteps"]


class PartFailedError(Exception):
    """An answer failed, and not the others."""


class SharedSteps:
    """Steps of a decoder, for the answers of a batch.

    Args:
        drawn: how many tokens its ring has already.
    """

    def __init__(self, decoder: Decoder, drawn: int = 0):
        self.decoder = decoder
        self.executor = decoder.executor
        self._in_flight = InFlight(decoder, Pace(), drawn)

    @property
    def drawn(self) -> int:
        """Where in the ring the next step's tokens go."""
        return self._in_flight.drawn

    async def first(self, slots: Sequence[int], *, adapted: bool) -> list[int]:
        """The first token of answers to one prompt, whose last hidden state is there, in slots."""
        device, self.decoder.adapted = self.executor.device, adapted
        device.replay(await self.decoder.plan("head"))
        self._in_flight.replay(await self.decoder.plan("first", len(slots)))
        read = await self._in_flight.next_read()
        return [read.tokens[slot] for slot in slots]

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
        longest = max(part.position for part in parts)
        end = self.drawn + min(most, self.executor.context_length - longest)
        arrived = 0.0
        while True:
            if not ends():
                with suppress(PartFailedError):
                    await self._in_flight.fill(MOST_AHEAD, end, partial(self._step, parts))
            if not self._in_flight.waiting:
                return
            steps, words, _ = await self._in_flight.next_read()
            before, arrived = arrived, time.perf_counter()
            if before:
                self._in_flight.pace.took((arrived - before) / steps)
            for part in parts:
                if not part.over:
                    self._pass_on(list(words[part.slot :: self.decoder.slots]), part, parts)
            await asyncio.sleep(0)  # those who get tokens may see a stop in them

    def _pass_on(self, tokens: list[int], part: Part, parts: Sequence[Part]) -> None:
        """Let a part have its tokens; a member one of whose parts has none fails."""
        try:
            check_drawn(tokens, [each.sequence for each in parts if each.member is part.member])
        except NotANumberError as error:
            part.member.fail(error)
        else:
            part.take(tokens)

    async def drain(self) -> None:
        """Wait for what is in flight, whatever becomes of it."""
        await self._in_flight.drain()

    async def _step(self, parts: Sequence[Part], count: int) -> tuple[int, Plan]:
        """The plan of ``count`` more steps.

        Raises:
            PartFailedError: a part has no memory to go on, and is over.
        """
        executor, ahead = self.executor, self._in_flight.waiting + count
        for part in parts:
            try:
                await executor.cache.reserve(part.sequence, part.position + ahead, part.slot)
            except GPUOutOfMemoryError as error:
                part.member.fail(error)
                raise PartFailedError from error
        keys = max(part.position for part in parts) + ahead + 1
        self.decoder.adapted = any(part.sequence.adapters for part in parts)
        return count, await self.decoder.step(len(parts), keys)
