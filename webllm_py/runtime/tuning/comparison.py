"""Whether kernels that round give what the plain ones give, but for the rounding."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence

from webllm_py.gpu.device import Buffer, Device, Dispatch, Plan
from webllm_py.models.linear import Gemm

__all__ = ["MOST_DEVIATION", "deviation", "results", "results_of", "run_once", "sampled_rows"]

MOST_DEVIATION: Mapping[Gemm, float] = {"dot4": 0.05, "matrices": 0.005}
"""The part of the plain results' root mean square that the others may be off by; rounding to 8 bits
is 0.01 to 0.02 of it, to float16 less than 0.001."""


def deviation(plain: Sequence[float], others: Sequence[float]) -> float:
    """The root mean square of the difference, as a part of that of the plain ones."""
    size = math.fsum(value * value for value in plain)
    off = math.fsum((a - b) ** 2 for a, b in zip(plain, others, strict=True))
    # Neither zeros nor what is no number can be told from anything.
    return math.sqrt(off / size) if 0 < size < math.inf and off < math.inf else math.inf


def sampled_rows(
    rows: int, stride: int, first: int = 0, nbytes: int | None = None
) -> list[tuple[int, int]]:
    """Where three of a chunk's rows are that are compared: the first, the last, and one between.

    Args:
        stride: bytes from a row to the next.
        first, nbytes: of a row, where what is compared begins, and how long it is; all by default.

    Returns:
        Offset and length of each, in bytes.
    """
    nbytes = stride if nbytes is None else nbytes
    return [(first + row * stride, nbytes) for row in (0, rows // 2 + 5, rows - 1)]


async def run_once(device: Device, name: str, dispatches: Sequence[Dispatch]) -> None:
    """Run dispatches that are not needed again.

    Raises:
        ShaderError: a kernel does not compile.
    """
    plan = await device.record(name, dispatches)
    device.replay(plan)
    device.drop(plan)


async def results(
    device: Device, plan: Plan, target: Buffer, places: Iterable[tuple[int, int]]
) -> array[float]:
    """What a plan leaves in places of a buffer, which is zeros before.

    Args:
        places: offset and length of each, in bytes.
    """
    device.clear(target)
    device.replay(plan)
    found = array("f")
    for offset, nbytes in places:
        found.frombytes(await device.read(target, offset, nbytes))
    return found


async def results_of(
    device: Device,
    name: str,
    dispatches: Sequence[Dispatch],
    target: Buffer,
    places: Iterable[tuple[int, int]],
) -> array[float]:
    """``results`` of dispatches that are not needed again.

    Raises:
        ShaderError: a kernel does not compile.
    """
    plan = await device.record(name, dispatches)
    try:
        return await results(device, plan, target, places)
    finally:
        device.drop(plan)
