"""Which dispatch can make the first half of the next matrix's adapters, and in how many parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fake_device import FakeDevice

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import Variant, compose, kernel
from webllm_py.models.lora import LowRank
from webllm_py.models.lora_shrink import Shrink
from webllm_py.models.step import StepLayout
from webllm_py.models.weights import Matrix

COLUMNS = 256


@pytest.fixture
def row() -> Buffer:
    return FakeDevice().create_buffer("hidden", 4 * COLUMNS)


@pytest.fixture
def ahead(row: Buffer) -> Shrink:
    other = FakeDevice().create_buffer("adapters", 64)
    matrix = Matrix("blk.0.qkv", 384, COLUMNS, ())
    return Shrink(LowRank(other, 0, 4, 64), matrix, row, other, StepLayout(64, 4), norm=True)


def gemv(row: Buffer, epilogue: str = "residual", **constants: Any) -> Dispatch:
    sizes = {"LANES": 16, "GROUPS": 2, "QUADS": 1, "UNROLL": 1, "THREADS": 32, "UNITS": 8, "K": 64}
    sizes |= {"N": COLUMNS, "SLICE": COLUMNS, "Y_STRIDE": COLUMNS, **constants}
    words = {"quant": "quant/q4_0", "epilogue": f"epilogue/{epilogue}", "finish": "linear/finish"}
    words |= {"source": "source/row", "low": "lora/not_parts", "ahead": "lora/not_ahead"}
    buffers = dict.fromkeys(("x", "quants", "scales", "vectors", "y"), row)
    return Dispatch(kernel("gemv", snippets=words, **sizes), buffers, (16, 2, 1))


def test_a_part_for_each_workgroup(ahead: Shrink, row: Buffer) -> None:
    assert ahead.parts(gemv(row)) == 32
    assert ahead.parts(gemv(row, "glu", QUADS=2)) == 32


def test_what_cannot_make_it(ahead: Shrink, row: Buffer) -> None:
    other = FakeDevice().create_buffer("normed", 4 * COLUMNS)
    assert not ahead.parts(gemv(other)), "another row"
    assert not ahead.parts(gemv(row, SLICE=128)), "a slice of the matrix"
    assert not ahead.parts(gemv(row, "glu", GROUPS=1)), "half a vec4 a workgroup"
    assert not ahead.parts(gemv(row, GROUPS=16)), "more columns than threads"
    assert not ahead.parts(replace(gemv(row), groups=(65, 1, 1))), "more parts than have room"
    many = replace(ahead, low=replace(ahead.low, quads=65))
    assert not many.parts(gemv(row)), "more ranks than have room"


def test_the_dispatch_that_makes_it(ahead: Shrink, row: Buffer) -> None:
    """It is what it was, and binds what its text declares."""
    before = gemv(row)
    made = ahead.made_by(before)
    shader = compose(made.kernel, Variant())
    shader.check_buffers("gemv", made.buffers)
    assert made.groups == before.groups and made.buffers["next"] is ahead.low.buffer
    assert shader.overrides["AHEAD_WIDE"] == 2 and shader.overrides["AHEAD_NORM"]
    assert len(shader.bindings) <= 8
