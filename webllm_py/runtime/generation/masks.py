"""Masks of draws that the host makes, from the vocabulary's tables."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Collection, Iterator, Sequence

from webllm_py.runtime.generation.constraints import Place
from webllm_py.runtime.generation.in_flight import check_drawn
from webllm_py.runtime.generation.run import Run
from webllm_py.runtime.sampling.sampler import NOTHING, Sampler

__all__ = ["HostMasks"]

# That Python works on without a look at what else is to be done.
SLICE_SECONDS = 0.02


class HostMasks:
    """What answers may go on with.

    Args:
        sampler: draws their tokens.
        places: where the answers' texts stand.
        ends: tokens that end a text.
        least: before so many tokens a text does not end if it can go on.
        seconds: how long each mask took is added.
    """

    def __init__(
        self,
        sampler: Sampler,
        places: Sequence[Place],
        ends: Collection[int],
        least: int,
        seconds: list[float],
    ):
        self.sampler = sampler
        self.places = places
        self.least = least
        self.seconds = seconds
        self._ends = ends

    async def prepare(self) -> None:
        """Make the tables, if they are not yet there."""
        for place in self.places[:1]:  # all know the same vocabulary
            await in_slices(place.constraint.preparing())

    def put(self, index: int, count: int) -> bool:
        """Let the sampler have the mask of an answer of so many tokens; whether it has a bit."""
        begun = time.perf_counter()
        allowed = self._mask(self.places[index], count)
        self.seconds.append(time.perf_counter() - begun)
        self.sampler.mask(allowed, index)
        return allows_any(allowed)

    async def check_refused(self, run: Run, index: int) -> None:
        """Find out why an answer's draw brought a token that its mask refuses: usually it refuses
        all of them.

        Raises:
            NotANumberError: the logits of those that it allows are no numbers.
        """
        logits = run.decoder.drawing.logits
        rows = 4 * run.executor.model.config.vocab_size * len(run.active)
        data = await run.device.read(logits, 0, min(rows, logits.size))
        if any(value != value for value in array("f", bytes(data))):
            await self.prepare()
            if allows_any(self._mask(self.places[index], run.issued)):
                check_drawn([NOTHING], run.sequences)

    def _mask(self, place: Place, count: int) -> bytes:
        if place.coming:
            only = bytearray(self.sampler.mask_bytes)
            only[place.coming[0] // 8] = 1 << place.coming[0] % 8
            return bytes(only)
        allowed = place.constraint.mask()
        if count < self.least:
            going_on = both(allowed, self.sampler.all_but(self._ends))
            allowed = going_on if allows_any(going_on) else allowed
        return allowed


async def in_slices(pieces: Iterator[None]) -> None:
    """Work through these; whatever else waits on this event loop has its turn now and then."""
    begun = time.perf_counter()
    for _ in pieces:
        if time.perf_counter() - begun > SLICE_SECONDS:
            await asyncio.sleep(0)
            begun = time.perf_counter()


def allows_any(mask: bytes) -> bool:
    """Whether a mask has a bit."""
    return mask.count(0) < len(mask)  # ``any`` makes an int of each byte up to the first


def both(one: bytes, other: bytes) -> bytes:
    """The bits that are set in both."""
    bits = int.from_bytes(one, "little") & int.from_bytes(other, "little")
    return bits.to_bytes(len(one), "little")
