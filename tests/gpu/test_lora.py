"""Low-rank adapters: their two halves and their placing, against numpy."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from adapted import ADAPTERS, SLOTS, Beside, added, segments_of, with_scales
from eight_bits import BLOCK, buffer_of, quantized
from formats import laid_out
from runners import Runner, of_native

from webllm_py.gpu.kernels import Kernel, kernel


@pytest.mark.parametrize(
    ("rows", "norm", "divide"),
    [(1, True, False), (4, False, False), (8, True, True), (1, False, False)],
)
async def test_shrink(
    runner: Runner, rows: int, norm: bool, divide: bool, rng: np.random.Generator
) -> None:
    """Each row with the scales of its slot; rows past the step's end, and without any, are 0."""
    n, k, columns = 30, 84, 96
    segments = segments_of(rng, n, k)
    x = np.pad(rng.standard_normal((rows, k)) * 3, ((0, 0), (0, columns - k))).astype(np.float32)
    weight = np.pad(rng.standard_normal(k), (0, columns - k)).astype(np.float32)
    before = np.concatenate([weight, rng.standard_normal(n)]) if norm else np.zeros(0)
    beside = Beside(segments, before, columns, rows=12)
    count = max(1, rows - 1)
    slots = rng.permutation(SLOTS)[:count]
    scales = rng.standard_normal((SLOTS, ADAPTERS)).astype(np.float32)
    scales[slots[-1]] = 0
    scales[:, 2] *= rng.integers(0, 2, SLOTS)
    step = np.zeros(4 + 4 * rows + 3, np.uint32)
    step[0] = count
    step[6 : 4 + 4 * rows : 4][:count] = slots
    step = with_scales(step, scales)
    start = beside.words.copy()
    beside.low(start)[:] = 7
    grouped = 1 if rows == 1 else 4
    shrink = kernel(
        "lora_shrink",
        UNITS=columns // 8,
        K=k,
        LORA_AT=beside.at,
        LORA_QUADS=beside.quads,
        ROWS=grouped,
        ADAPTERS=ADAPTERS,
        LORA_SCALES=4 + 4 * rows + 3,
        STEP_ROWS=4,
        NORM=norm,
        DIVIDE=divide,
        EPS=1e-5,
        LANES=64,
        THREADS=64,
    )
    arrays = {"x": x, "lora": start, "step": step}
    out = await runner.run(shrink, arrays, (beside.quads, rows // grouped))
    expected = np.zeros((rows, 4 * beside.quads))
    for m in range(count):
        row = x[m, :k] * weight[:k] if norm else x[m, :k]
        if divide:
            row = row / np.sqrt((x[m] ** 2).sum() / k + 1e-5)
        at = 0
        for s in segments:
            expected[m, at : at + len(s.a)] = scales[slots[m], s.adapter] * (s.a @ row)
            at += 4 * s.quads
    np.testing.assert_allclose(beside.low(out["lora"])[:rows], expected, rtol=1e-5, atol=1e-4)
    beside.low(start)[:rows] = beside.low(out["lora"])[:rows]
    np.testing.assert_array_equal(out["lora"], start)


SHAPES = {
    "gemv": {"LANES": 8, "GROUPS": 2, "QUADS": 2, "UNROLL": 2, "THREADS": 16},
    "gemv_rows": {"LANES": 16, "GROUPS": 2, "ROWS": 4, "THREADS": 32},
    "gemm": {"TM": 32, "TN": 64, "PREFETCH": True, "THREADS": 32},
    "gemm_direct": {},
}


def groups_of(name: str, rows: int, n: int) -> tuple[int, ...]:
    return {
        "gemv": (-(-n // 16),),
        "gemv_rows": (-(-n // 8), 1, rows // 4),
        "gemm": (-(-n // 64), rows // 32),
        "gemm_direct": (-(-n // 64), rows // 4),
    }[name]


CASES = [
    ("gemv", "q4_0", 1, 30),
    ("gemv_rows", "f32", 8, 35),
    ("gemm", "q8_0", 32, 70),
    ("gemm_direct", "f16", 8, 30),
    ("gemv", "f32", 1, 201),
    ("gemm", "f32", 64, 150),
]


@pytest.mark.parametrize(("name", "fmt", "rows", "n"), of_native(CASES, CASES[:4]))
async def test_expand(
    runner: Runner, name: str, fmt: str, rows: int, n: int, rng: np.random.Generator
) -> None:
    """Every linear kernel adds B (scale * A x), behind the norm that it does itself."""
    k = 172
    weight, arrays = laid_out(fmt, rng.standard_normal((n, k), np.float32))
    columns = weight.shape[1]
    x = np.pad(rng.standard_normal((rows, k)), ((0, 0), (0, columns - k))).astype(np.float32)
    norm = np.pad(rng.standard_normal(k), (0, columns - k)).astype(np.float32)
    bias = rng.standard_normal(n).astype(np.float32)
    segments = segments_of(rng, n, k)
    in_kernel = name.startswith("gemv")
    before = np.concatenate([norm, bias]) if in_kernel else bias
    beside = Beside(segments, before, columns, rows)
    low = rng.standard_normal((rows, 4 * beside.quads)).astype(np.float32)
    low[:: max(2, rows // 3), 4:12] = 0
    beside.low(beside.words)[:] = low
    sizes = {"UNITS": columns // 8, "N": n, "SLICE": n, "Y_STRIDE": n}
    sizes |= {"LORA_AT": beside.at, "LORA_QUADS": beside.quads}
    sizes |= {"BIAS": True, "BIAS_AT": columns // 4 if in_kernel else 0}
    if in_kernel:
        sizes |= {"K": k, "NORM": True, "EPS": 1e-5}
    words = {"quant": f"quant/{fmt}", "epilogue": "epilogue/store", "finish": "linear/finish_lora"}
    if name == "gemv":
        words |= {"source": "source/row", "low": "lora/not_parts", "ahead": "lora/not_ahead"}
    made = kernel(name, snippets=words, **sizes, **SHAPES[name])
    out = await runner.run(
        made,
        {"x": x, "vectors": beside.words, "y": np.zeros((rows, n), np.float32), **arrays},
        groups_of(name, rows, n),
    )
    input = x * norm if in_kernel else x
    expected = input @ weight.T + added(segments, low, n)
    if in_kernel:
        expected /= np.sqrt((x**2).sum(1, keepdims=True) / k + 1e-5)
    np.testing.assert_allclose(out["y"], expected + bias, rtol=0, atol=k * 3e-6)


@pytest.mark.parametrize("wide", [False, True])
async def test_expand_beside_products_in_8_bits(
    runner: Runner, wide: bool, rng: np.random.Generator
) -> None:
    n, k, rows = 70, 96, 64
    weight, arrays = laid_out("q4_0", rng.standard_normal((n, k), np.float32))
    codes, scales = quantized(rng.standard_normal((rows, k)).astype(np.float32))
    segments = segments_of(rng, n, k)
    beside = Beside(segments, np.zeros(0), k, rows)
    low = rng.standard_normal((rows, 4 * beside.quads)).astype(np.float32)
    beside.low(beside.words)[:] = low
    share, splits = (64, 1) if wide else (64, 2)
    made = kernel(
        "gemm_dot4",
        snippets={
            "quant": "dot4/q4_0",
            "epilogue": "epilogue/store",
            "finish": "linear/finish_lora",
        },
        UNITS=k // 8,
        SCALES_AT=rows * k // 16,
        SUMS_AT=0,
        TM=64 if wide else 32,
        TN=64,
        SPLITS=splits,
        WIDE=wide,
        SHARE=share,
        THREADS=share * splits,
        N=n,
        SLICE=n,
        Y_STRIDE=n,
        LORA_AT=beside.at,
        LORA_QUADS=beside.quads,
    )
    out = await runner.run(
        made,
        {
            "x": buffer_of(codes, scales),
            "vectors": beside.words,
            "y": np.zeros((rows, n), np.float32),
            **arrays,
        },
        (-(-n // 64), rows // (64 if wide else 32)),
    )
    expected = codes * np.repeat(scales, BLOCK, axis=1) @ weight.T + added(segments, low, n)
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=k * 3e-6)


@pytest.mark.parametrize("source", ["f32", "f16", "bf16"])
async def test_place(runner: Runner, source: str, rng: np.random.Generator) -> None:
    """B turned round, its rows in another order and its ranks padded."""
    rows, rank = 11, 5
    values = rng.standard_normal((rows, rank)).astype(np.float32)
    if source == "bf16":
        values = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        stored = (values.view(np.uint32) >> 16).astype(np.uint16)
    else:
        stored = values.astype(np.float16 if source == "f16" else np.float32)
        values = stored.astype(np.float32)
    order = rng.permutation(rows).astype(np.uint32)
    data = b"\0" * 8 + stored.tobytes()
    staged = np.frombuffer(data + b"\0" * (-len(data) % 4), np.uint32)
    start = rng.standard_normal(120).astype(np.float32)
    piece = np.frombuffer(
        struct.pack("<8IfI", 2, 12, 8, rank, rows, 1, rank, 20, 0.5, 4), np.uint32
    )
    arrays = {"staged": staged, "piece": piece, "lora": start}
    arrays["order"] = np.concatenate([np.zeros(3, np.uint32), order])
    place: Kernel = kernel("lora_place", snippets={"source": f"repack/source_{source}"})
    out = await runner.run(place, arrays, (1, 2))
    expected = start.copy()
    target = expected[20:116].reshape(8, 12)
    target[:] = 0
    target[:rank, :rows] = 0.5 * values[order].T
    np.testing.assert_array_equal(out["lora"], expected)
