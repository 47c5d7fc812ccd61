"""Which steps are in flight, and which of them each read-back covers."""

from __future__ import annotations

from array import array
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import pytest

from webllm_py.gpu.device import Buffer, Plan
from webllm_py.runtime.generation.in_flight import InFlight, Pace
from webllm_py.runtime.sampling.sampler import RING

SLOTS = 2
PLAN = Plan("step", (), None)


class CountingDevice:
    """Draws, in each slot, how many were drawn before; the GPU has run everything at once."""

    def __init__(self) -> None:
        self.drawn = 0
        self.ring = array("I", bytes(4 * SLOTS * RING))
        self.reads: list[int] = []  # steps that each covers

    def replay(self, plan: Plan, times: int = 1) -> None:
        for _ in range(times):
            at = self.drawn % RING * SLOTS
            self.ring[at : at + SLOTS] = array("I", [self.drawn] * SLOTS)
            self.drawn += 1

    def read(self, buffer: Buffer, offset: int, size: int) -> Awaitable[bytes]:
        data = self.ring.tobytes()[offset : offset + size]
        assert len(data) == size, "it goes around the ring's end"
        self.reads.append(size // (4 * SLOTS))

        async def reading() -> bytes:
            return data

        return reading()

    def replay_and_read(
        self, plan: Plan, times: int, buffer: Buffer, offset: int, size: int
    ) -> Awaitable[bytes]:
        self.replay(plan, times)
        return self.read(buffer, offset, size)


def steps_of(device: CountingDevice, seconds: float, drawn: int = 0) -> InFlight:
    decoder: Any = SimpleNamespace(
        slots=SLOTS,
        logprobs=None,
        sampler=SimpleNamespace(ring=Buffer("ring", 0, None)),
        executor=SimpleNamespace(device=device),
    )
    pace = Pace()
    pace.seconds = seconds
    device.drawn = drawn
    return InFlight(decoder, pace, drawn)


async def plan_of(count: int) -> tuple[int, Plan]:
    return count, PLAN


async def taken(steps: InFlight, end: int, most: int = 128) -> tuple[list[int], list[int]]:
    """The tokens of one slot up to ``end``, and how many steps were in flight before each read."""
    tokens: list[int] = []
    waiting: list[int] = []
    while steps.waiting or steps.drawn < end:
        await steps.fill(most, end, plan_of)
        waiting.append(steps.waiting)
        tokens += (await steps.next_read()).tokens[::SLOTS]
    return tokens, waiting


@pytest.mark.parametrize("seconds", [0.0002, 0.001, 0.004, 0.012, 0.03, 0.5])
@pytest.mark.parametrize("most", [1, 2, 7, 128])
async def test_every_token_is_read_once_and_in_order(seconds: float, most: int) -> None:
    device = CountingDevice()
    first = RING - 100  # the ring's end comes soon
    steps = steps_of(device, seconds, first)
    tokens, waiting = await taken(steps, first + 300, most)
    assert tokens == list(range(first, first + 300)) and steps.waiting == 0
    assert max(waiting) <= most + most // 2
    assert max(waiting) * seconds <= 0.09 or max(waiting) == 1


async def test_work_stays_in_flight_while_the_host_reads() -> None:
    device = CountingDevice()
    steps = steps_of(device, 0.001)
    _, waiting = await taken(steps, 500)
    left = [before - read for before, read in zip(waiting, device.reads, strict=True)]
    assert 76 <= waiting[0] <= 77 and min(left[:-1]) >= 12
    assert len(device.reads) <= 8, "a read-back costs the host as much as tens of tokens"


async def test_the_last_tokens_come_in_one_read() -> None:
    device = CountingDevice()
    await taken(steps_of(device, 0.001), 70)
    assert device.reads == [70]


async def test_what_is_dropped_is_drawn_again() -> None:
    device = CountingDevice()
    steps = steps_of(device, 0.001)
    await steps.fill(128, 500, plan_of)
    read = await steps.next_read()
    steps.drop(5)
    assert (steps.drawn, steps.waiting) == (read.steps - 5, 0)
    device.drawn = steps.drawn
    tokens, _ = await taken(steps, 200)
    assert tokens == list(range(read.steps - 5, 200))


async def test_a_pace_is_measured() -> None:
    pace = Pace()
    assert pace.ahead(128) == 1, "until then, one at a time"
    for _ in range(50):
        pace.took(0.001)
    assert 76 <= pace.ahead(128) <= 77 and 12 <= pace.spare(77) <= 13
    assert (pace.ahead(8), pace.spare(8)) == (8, 4)
