"""Requests and loads leave no memory behind: 1,000 and 50 of them with --long, else a few."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from soak import Sample, many_loads, many_requests

from webllm_py.loading import pocket_model

MEGABYTE = 1 << 20


def process_bytes() -> float:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def told(what: str, samples: Sequence[Sample]) -> None:
    first, last = samples[len(samples) // 2], samples[-1]
    print(f"\n{what}: " + ", ".join(f"{k} {first[k]:,.0f} -> {last[k]:,.0f}" for k in first))


pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="no /proc: memory is not measured here"
)


async def test_requests_leave_nothing(long: bool) -> None:
    count = 1000 if long else 48
    samples = await many_requests(pocket_model(), count, process_bytes, 8)
    told("requests", samples)
    half, last = samples[len(samples) // 2], samples[-1]
    assert last["buffers"] <= half["buffers"] and last["gpu"] <= half["gpu"]
    # Of Python's blocks of memory, a read-back that stays takes 25, and a request makes some.
    assert last["blocks"] - half["blocks"] < 20 * count
    assert last["process"] - half["process"] < 4 * MEGABYTE


async def test_loads_leave_nothing(long: bool) -> None:
    samples = await many_loads(pocket_model(), 50 if long else 2, process_bytes)
    told("loads", samples)
    half, last = samples[len(samples) // 2], samples[-1]
    assert last["buffers"] == half["buffers"] == 0
    assert last["blocks"] - half["blocks"] < 2000
