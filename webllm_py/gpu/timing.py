"""How long work takes, by the wall clock."""

from __future__ import annotations

import time

from webllm_py.gpu.device import Device, Plan

__all__ = ["seconds_of"]


async def seconds_of(device: Device, plan: Plan, times: int) -> float:
    """How long so many passes take, with the wait for their end."""
    start = time.perf_counter()
    device.replay(plan, times)
    await device.idle()
    return time.perf_counter() - start
