"""Activations in 8 bits, and the GEMM that multiplies them, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from eight_bits import BLOCK, buffer_of, dot4, halves, quantized
from formats import laid_out
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel

FORMATS = ("q4_0", "q8_0")
# TM, TN, SPLITS, WIDE
TILES = [(32, 64, 1, False), (32, 64, 4, False), (64, 32, 2, False), (64, 128, 2, True)]
SIZES = [("q4_0", 3, 5, 32), ("q8_0", 64, 130, 416), ("q4_0", 70, 70, 416)]
GEMM_CASES = [(*size, tile) for tile in TILES for size in SIZES]
IN_CHROMIUM = [(*SIZES[1 + i % 2], tile) for i, tile in enumerate(TILES)]


@pytest.mark.parametrize(("k", "normed"), [(32, False), (160, True), (1312, True)])
async def test_quantized_rows(
    runner: Runner, k: int, normed: bool, rng: np.random.Generator
) -> None:
    """Every element within half a step of what it was; a block of zeros, and padding."""
    rows, blocks = 8, k // BLOCK
    x = rng.standard_normal((rows, k)).astype(np.float32) * 3
    x[2, :BLOCK] = 0
    x[5] *= 1e4
    weight = rng.standard_normal(k).astype(np.float32)
    x[:, k - 5 :] = weight[k - 5 :] = 0
    columns = k - 5
    out = await runner.run(
        kernel(
            "x_quantize",
            BLOCKS=blocks,
            K=columns,
            SCALES_AT=rows * k // 4,
            NORM=normed,
            EPS=1e-5,
            LANES=64,
            THREADS=64,
        ),
        {"x": x, "vectors": weight, "y": np.zeros(rows * k // 4 + rows * blocks, np.uint32)},
        (1, rows // 4),
    )
    expected = x.astype(np.float64)
    if normed:
        expected /= np.sqrt((expected**2).sum(1, keepdims=True) / columns + 1e-5)
        expected *= weight
    codes, scales = halves(out["y"], rows, k)
    greatest = np.abs(expected.reshape(rows, blocks, BLOCK)).max(2)
    np.testing.assert_allclose(scales, greatest / 127, rtol=1e-5)
    each = np.repeat(scales, BLOCK, axis=1)
    assert (np.abs(codes * each - expected) <= each * 0.501).all()
    assert np.abs(codes.astype(int)).max() == 127


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
