"""Results of kernels that round, beside those of the plain ones."""

from __future__ import annotations

import asyncio
import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "gpu"))

from fake_device import FakeDevice

from webllm_py.errors import DeviceLostError
from webllm_py.gpu.device import Buffer, Plan
from webllm_py.runtime.tuning.comparison import deviation, results_of, sampled_rows


def test_deviation() -> None:
    assert deviation([3.0, 4.0], [3.0, 4.5]) == pytest.approx(0.1)
    assert deviation([3.0, 4.0], [3.0, math.nan]) == math.inf
    assert deviation([0.0, 0.0], [0.0, 0.0]) == math.inf
    assert deviation([math.inf, 0.0], [math.inf, 0.0]) == math.inf


def test_what_is_compared_of_a_chunk() -> None:
    assert sampled_rows(64, 16) == [(0, 16), (37 * 16, 16), (63 * 16, 16)]
    assert sampled_rows(64, 16, 8, 4) == [(8, 4), (37 * 16 + 8, 4), (63 * 16 + 8, 4)]


def test_no_plan_is_left_of_a_device_that_goes_away() -> None:
    device, dropped = FakeDevice(), list[Plan]()

    async def lost(buffer: Buffer, offset: int, size: int) -> bytes:
        raise DeviceLostError("gone")

    device.read, device.drop = lost, dropped.append  # type: ignore[method-assign]
    target = device.create_buffer("target", 16)
    with pytest.raises(DeviceLostError):
        asyncio.run(results_of(device, "some", [], target, [(0, 16)]))
    assert len(dropped) == 1
