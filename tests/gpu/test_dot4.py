"""Activations in 8 bits, and the GEMM and the GEMV that multiply them, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from eight_bits import (
    BLOCK,
    buffer_of,
    dot4,
    dot4_row,
    dot4_rows,
    parts_of,
    quantized,
    sums_of,
    units_of,
)
from formats import laid_out
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel

FORMATS = ("q4_0", "q8_0")
# TM, TN, SPLITS, WIDE
TILES = [(32, 64, 1, False), (32, 64, 4, False), (64, 32, 2, False), (64, 128, 2, True)]
SIZES = [("q4_0", 3, 5, 32), ("q8_0", 64, 130, 416), ("q4_0", 70, 70, 416)]
GEMM_CASES = [(*size, tile) for tile in TILES for size in SIZES]
IN_CHROMIUM = [(*SIZES[1 + i % 2], tile) for i, tile in enumerate(TILES)]


@pytest.mark.parametrize(
    ("k", "normed", "sums"), [(32, False, True), (160, True, False), (1312, True, True)]
)
async def test_quantized_rows(
    runner: Runner, k: int, normed: bool, sums: bool, rng: np.random.Generator
) -> None:
    """Every element within half a step of what it was; a block of zeros, and padding. Sums of
    halves of blocks are exact, the greatest ones too."""
    rows, blocks = 8, k // BLOCK
    x = rng.standard_normal((rows, k)).astype(np.float32) * 3
    x[2, :BLOCK] = 0
    x[5] *= 1e4
    weight = rng.standard_normal(k).astype(np.float32)
    x[6, :BLOCK], weight[:BLOCK] = np.repeat([1, -1], BLOCK // 2), 1
    x[:, k - 5 :] = weight[k - 5 :] = 0
    columns, words, scales_at = k - 5, rows * (k // 4 + blocks), rows * k // 4
    out = await runner.run(
        kernel(
            "x_quantize",
            BLOCKS=blocks,
            K=columns,
            SCALES_AT=scales_at,
            SUMS_AT=words if sums else 0,
            NORM=normed,
            EPS=1e-5,
            LANES=64,
            THREADS=64,
        ),
        {"x": x, "vectors": weight, "y": np.zeros(words + rows * blocks * sums, np.uint32)},
        (1, rows // 4),
    )
    expected = x.astype(np.float64)
    if normed:
        expected /= np.sqrt((expected**2).sum(1, keepdims=True) / columns + 1e-5)
        expected *= weight
    codes, scales, *found = parts_of(out["y"], rows, k)
    greatest = np.abs(expected.reshape(rows, blocks, BLOCK)).max(2)
    np.testing.assert_allclose(scales, greatest / 127, rtol=1e-5)
    each = np.repeat(scales, BLOCK, axis=1)
    assert (np.abs(codes * each - expected) <= each * 0.501).all()
    assert np.abs(codes.astype(int)).max() == 127
    np.testing.assert_array_equal(found, [sums_of(codes)] if sums else [])


@pytest.mark.parametrize(
    ("fmt", "m", "n", "k", "tile"), of_native(GEMM_CASES, IN_CHROMIUM), ids=str
)
async def test_gemm_stores_with_bias(
    runner: Runner,
    fmt: str,
    m: int,
    n: int,
    k: int,
    tile: tuple[int, int, int, bool],
    rng: np.random.Generator,
) -> None:
    """Integers are exact: what differs is the order of the sum over blocks."""
    tm, tn, *_ = tile
    weight, arrays = laid_out(fmt, rng.standard_normal((n, k), np.float32))
    rows = -(-m // tm) * tm
    x = np.zeros((rows, k), np.float32)
    x[:m] = rng.standard_normal((m, k))
    codes, scales = quantized(x)
    bias = rng.standard_normal(n).astype(np.float32)
    out = await runner.run(
        dot4(fmt, "store", x.shape, tile, N=n, SLICE=n, BIAS=True, Y_STRIDE=n),
        {
            "x": buffer_of(codes, scales),
            "vectors": np.concatenate([bias, np.zeros(-n % 4, np.float32)]),
            "y": np.zeros((rows, n), np.float32),
            **arrays,
        },
        (-(-n // tn), rows // tm),
    )
    seen = codes * np.repeat(scales, BLOCK, axis=1)
    expected = seen.astype(np.float64) @ weight.T.astype(np.float64) + bias
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=k * 4e-7)


# Rows, columns; then lanes, groups, quads, unroll, and units in workgroup memory.
ROW_CASES = [
    ("q4_0", 5, 32, (4, 8, 2, 1, 4)),
    ("q8_0", 67, 172, (8, 4, 1, 4, 32)),
    ("q4_0", 130, 896, (16, 2, 2, 2, 64)),
    ("q8_0", 40, 1312, (32, 4, 1, 1, 96)),
    ("q4_0", 40, 1312, (16, 8, 2, 4, 192)),
]


@pytest.mark.parametrize(("fmt", "n", "k", "shape"), of_native(ROW_CASES, ROW_CASES[1:3]), ids=str)
@pytest.mark.parametrize("normed", [False, True])
async def test_gemv_stores_with_norm_and_bias(
    runner: Runner,
    fmt: str,
    n: int,
    k: int,
    shape: tuple[int, int, int, int, int],
    normed: bool,
    rng: np.random.Generator,
) -> None:
    """A row in several tiles, the last one not full: rounded by units of 8, a unit of zeros."""
    weight, arrays = laid_out(fmt, rng.standard_normal((n, k), np.float32))
    x = np.zeros((1, weight.shape[1]), np.float32)
    norm = np.zeros_like(x)
    x[0, :k] = rng.standard_normal(k) * 3
    norm[0, :k] = rng.standard_normal(k)
    x[0, 8:16] = 0
    bias = rng.standard_normal(n).astype(np.float32)
    vectors = np.concatenate([norm[0], bias, np.zeros(-n % 4, np.float32)])
    out = await runner.run(
        dot4_row(
            fmt,
            x.shape[1],
            shape,
            K=k,
            N=n,
            SLICE=n,
            NORM=normed,
            EPS=1e-5,
            BIAS=True,
            BIAS_AT=x.shape[1] // 4,
            Y_STRIDE=n,
        ),
        {"x": x, "vectors": vectors, "y": np.zeros(n, np.float32), **arrays},
        (-(-n // (4 * shape[1] * shape[2])),),
    )
    codes, scales = quantized(x * norm if normed else x, 8)
    seen = (codes * np.repeat(scales, 8, axis=1)).astype(np.float64)
    expected = weight.astype(np.float64) @ seen[0]
    if normed:
        expected /= np.sqrt((x.astype(np.float64) ** 2).sum() / k + 1e-5)
    # A number between two steps may be rounded either way.
    step = np.abs(weight).max() * scales.max() if normed else 0
    np.testing.assert_allclose(out["y"], expected + bias, rtol=0, atol=k * 2e-6 + step)


@pytest.mark.parametrize(("k", "normed"), [(32, False), (160, True), (1312, True)])
async def test_rounded_rows(runner: Runner, k: int, normed: bool, rng: np.random.Generator) -> None:
    """By units of 8, a unit of zeros among them; a norm's factor goes to the scales."""
    x = rng.standard_normal((3, k)).astype(np.float32) * 3
    x[1, 8:16] = 0
    x[2] *= 1e4
    weight = rng.standard_normal(k).astype(np.float32)
    x[:, k - 5 :] = weight[k - 5 :] = 0
    out = await runner.run(
        kernel(
            "round_rows",
            UNITS=k // 8,
            K=k - 5,
            NORM=normed,
            EPS=1e-5,
            LANES=64,
            THREADS=64,
        ),
        {"x": x, "vectors": weight, "y": np.zeros((3, k // 8, 4), np.uint32)},
        (-(-k // 8 // 64), 3),
    )
    codes, scales = quantized(x * weight if normed else x, 8)
    if normed:
        scales /= np.sqrt((x.astype(np.float64) ** 2).sum(1, keepdims=True) / (k - 5) + 1e-5)
    found = np.ascontiguousarray(out["y"][..., :2]).view(np.int8).reshape(3, k)
    off = np.abs(found.astype(int) - codes)
    assert off.max() <= 1 and (off > 0).mean() < 0.01  # between two steps, either is right
    np.testing.assert_array_equal(out["y"], units_of(found, out["y"][..., 3].view(np.float32)))
    np.testing.assert_allclose(out["y"][..., 3].view(np.float32), scales, rtol=1e-5)


# Rows, those of them in a workgroup, and lanes and groups of its threads.
FEW_CASES = [
    ("q4_0", 5, 32, 2, (2, 4, 8)),
    ("q8_0", 67, 160, 8, (4, 8, 4)),
    ("q4_0", 130, 896, 8, (8, 16, 4)),
    ("q8_0", 40, 1312, 16, (8, 32, 2)),
    ("q4_0", 37, 2080, 4, (4, 64, 2)),
    ("q4_0", 7, 2080, 8, (8, 128, 1)),
]


@pytest.mark.parametrize(
    ("fmt", "n", "k", "m", "shape"), of_native(FEW_CASES, FEW_CASES[1:3]), ids=str
)
async def test_gemv_rows_stores_with_bias(
    runner: Runner,
    fmt: str,
    n: int,
    k: int,
    m: int,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
) -> None:
    """Integers are exact: what differs is the order of the sum over units."""
    weight, arrays = laid_out(fmt, rng.standard_normal((n, k), np.float32))
    x = rng.standard_normal((m, k)).astype(np.float32) * rng.uniform(0.1, 3, (m, 1))
    codes, scales = quantized(x.astype(np.float32), 8)
    bias = rng.standard_normal(n).astype(np.float32)
    rows, _, groups = shape
    out = await runner.run(
        dot4_rows(fmt, k, shape, N=n, SLICE=n, BIAS=True, Y_STRIDE=n),
        {
            "x": units_of(codes, scales),
            "vectors": np.concatenate([bias, np.zeros(-n % 4, np.float32)]),
            "y": np.zeros((m, n), np.float32),
            **arrays,
        },
        (-(-n // (4 * groups)), 1, m // rows),
    )
    seen = (codes * np.repeat(scales, 8, axis=1)).astype(np.float64)
    expected = seen @ weight.T.astype(np.float64) + bias
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=k * 2e-6)


@pytest.mark.parametrize("fmt", FORMATS)
async def test_greatest_products(runner: Runner, fmt: str) -> None:
    """Blocks of nothing but extremes, of both signs, are summed exactly as well."""
    n, k, tile = 8, 64, TILES[0]
    weight, arrays = laid_out(fmt, np.where(np.arange(n)[:, None] % 2, 1, -1) * np.ones((n, k)))
    codes = np.where(np.arange(32)[:, None] % 3, 127, -127) * np.ones((32, k), np.int8)
    scales = np.ones((32, k // BLOCK), np.float32)
    out = await runner.run(
        dot4(fmt, "store", codes.shape, tile, N=n, SLICE=n, Y_STRIDE=n),
        {
            "x": buffer_of(codes.astype(np.int8), scales),
            "vectors": np.zeros(4, np.float32),
            "y": np.zeros((32, n), np.float32),
            **arrays,
        },
        (1, 1),
    )
    np.testing.assert_allclose(out["y"], codes.astype(np.float64) @ weight.T, rtol=1e-6)
