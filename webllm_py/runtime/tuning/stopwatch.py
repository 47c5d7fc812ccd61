"""How long plans take: by the GPU's own clock where it has one, else by waiting for their end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import gcd

from webllm_py.gpu.device import Device, Plan

__all__ = ["EXACT", "Stopwatch"]

# Chromium rounds times to 0.1 ms unless told otherwise; finer than this, they are not rounded.
COARSE_NANOSECONDS = 10_000
EXACT, COARSE = 1e-6, 1e-4
# Where each plan is waited for, the wait is shared by so many.
WAITED_TIMES = 4


class Stopwatch:
    """Times plans.

    Attributes:
        tick: seconds that times are rounded to, or that a wait scatters by.
    """

    def __init__(self, device: Device):
        self.device = device
        self.has_clock = "timestamp-query" in device.info.features
        self.tick = COARSE

    async def set(self, plans: Sequence[Plan], nbytes: Sequence[int]) -> list[float]:
        """Find out how fine the clock is, and the seconds that timing each plan takes, about.

        Args:
            nbytes: what each reads; where the clock is coarse, the time of all is shared by it.
        """
        await self.seconds(plans)  # a GPU that slept runs slowly at first
        start = time.perf_counter()
        found = await self.seconds(plans)
        wall = time.perf_counter() - start
        exact = 0 < gcd(*(round(1e9 * seconds) for seconds in found)) < COARSE_NANOSECONDS
        if self.has_clock and exact:
            self.tick = EXACT
            return found
        return [wall * size / sum(nbytes) for size in nbytes]

    async def seconds(self, plans: Sequence[Plan]) -> list[float]:
        """Seconds that each plan takes, run in this order."""
        if self.has_clock:
            return await self.device.time_plans(plans)
        return [await self._waited(plan) for plan in plans]

    async def _waited(self, plan: Plan) -> float:
        start = time.perf_counter()
        self.device.replay(plan, WAITED_TIMES)
        await self.device.idle()
        return (time.perf_counter() - start) / WAITED_TIMES
