"""The readers for products in 8 bits, of weights that come from a file's bytes, against numpy.

test_dot4.py has what the kernels do with the rows.
"""

from __future__ import annotations

import numpy as np
import pytest
from eight_bits import BLOCK, buffer_of, dot4, dot4_row, dot4_rows, quantized, units_of
from packed import PACKED
from placing import tame, tensor_of, whole
from runners import Runner, of_native

from webllm_py.models.linear import DOT4_FORMATS

ELSEWHERE = {"q4_0", "q8_0", "q4f16_1", "q4f32_1"}  # test_dot4.py, test_group_formats.py
# A format, or a kind of file; rows and columns; lanes, groups, quads, unroll, units in a tile.
CASES = [
    ("q4_1", 37, 480, (8, 4, 1, 1, 64)),
    ("q5_0", 22, 288, (4, 8, 2, 1, 36)),
    ("q5_1", 9, 480, (16, 2, 1, 2, 64)),
    ("q2_k", 40, 256, (16, 2, 2, 1, 32)),
    ("q3_k", 22, 512, (16, 4, 1, 2, 64)),
    ("q4_k", 67, 768, (16, 4, 2, 2, 64)),
    ("q5_k", 37, 512, (8, 4, 1, 4, 32)),
    ("q6_k", 67, 768, (16, 4, 2, 2, 64)),
    ("gptq row", 40, 96, (4, 8, 1, 1, 12)),
    ("gptq 64", 40, 192, (8, 4, 2, 1, 24)),
    ("awq 128", 40, 384, (16, 4, 1, 2, 64)),
    ("gptq 8 bits row", 24, 160, (4, 8, 1, 4, 32)),
    ("gptq_v2 8 bits", 24, 256, (8, 4, 2, 2, 32)),
]
IN_CHROMIUM = [case for case in CASES if case[0] in ("q4_k", "q6_k", "gptq 8 bits row")]


async def weight_of(
    runner: Runner, name: str, n: int, k: int, rng: np.random.Generator
) -> tuple[str, np.ndarray, dict[str, np.ndarray]]:
    """A weight of variance 1: its format, what it decodes to, and its buffers."""
    if name in PACKED:
        made = PACKED[name].quantize(rng.standard_normal((n, k), np.float32))
        fmt, arrays = await whole(runner, *tensor_of(name, made))
        return fmt, made.values, arrays
    return name, *await tame(runner, name, n, k, rng)


@pytest.mark.parametrize(("name", "n", "k", "shape"), of_native(CASES, IN_CHROMIUM), ids=str)
async def test_one_row(
    runner: Runner,
    name: str,
    n: int,
    k: int,
    shape: tuple[int, int, int, int, int],
    rng: np.random.Generator,
) -> None:
    """Whole numbers up to 127 lose nothing when they are rounded; half of them give the greatest
    sums that there are."""
    fmt, weight, arrays = await weight_of(runner, name, n, k, rng)
    assert fmt in DOT4_FORMATS
    x = rng.integers(-127, 128, k).astype(np.float32)
    x[::8] = 127
    x[k // 2 :] = 127
    out = await runner.run(
        dot4_row(fmt, k, shape, K=k, N=n, SLICE=n, Y_STRIDE=n),
        {"x": x, "vectors": np.zeros(4, np.float32), "y": np.zeros(n, np.float32), **arrays},
        (-(-n // (4 * shape[1] * shape[2])),),
    )
    most = (np.abs(weight) @ np.abs(x)).max()
    expected = weight.astype(np.float64) @ x
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=1e-6 * most)


def test_every_reader_is_tested() -> None:
    tested = {name for name, *_ in CASES if name not in PACKED} | ELSEWHERE
    assert {fmt for fmt in DOT4_FORMATS if not fmt.startswith("affine")} == tested


@pytest.mark.parametrize("fmt", of_native(("q4_k", "q6_k"), ()))
async def test_a_few_rows(runner: Runner, fmt: str, rng: np.random.Generator) -> None:
    n, k, m, shape = 37, 512, 4, (4, 8, 4)
    _, weight, arrays = await weight_of(runner, fmt, n, k, rng)
    codes, scales = quantized(rng.standard_normal((m, k)).astype(np.float32), 8)
    out = await runner.run(
        dot4_rows(fmt, k, shape, N=n, SLICE=n, Y_STRIDE=n),
        {
            "x": units_of(codes, scales),
            "vectors": np.zeros(4, np.float32),
            "y": np.zeros((m, n), np.float32),
            **arrays,
        },
        (-(-n // 16), 1, 1),
    )
    seen = (codes * np.repeat(scales, 8, axis=1)).astype(np.float64)
    np.testing.assert_allclose(out["y"], seen @ weight.T, rtol=0, atol=k * 2e-6)


# A format, or a kind of file; rows and columns; TM, TN, SPLITS, WIDE.
CHUNKS = [
    ("q5_0", 70, 416, (32, 64, 1, False)),
    ("q4_1", 37, 480, (32, 64, 4, False)),
    ("q4_1", 130, 480, (64, 128, 1, True)),
    ("q5_1", 9, 32, (64, 32, 2, False)),
    ("q2_k", 40, 256, (32, 64, 2, False)),
    ("q2_k", 130, 512, (64, 128, 1, True)),
    ("q3_k", 22, 512, (32, 64, 4, False)),
    ("q3_k", 130, 256, (64, 128, 1, True)),
    ("q4_k", 67, 768, (32, 64, 4, False)),
    ("q4_k", 70, 512, (64, 64, 2, False)),
    ("q4_k", 130, 256, (64, 128, 1, True)),
    ("q5_k", 37, 512, (64, 128, 1, True)),
    ("q6_k", 67, 768, (32, 64, 4, False)),
    ("q6_k", 70, 512, (64, 64, 2, False)),
    ("q6_k", 130, 256, (64, 128, 1, True)),
    ("gptq row", 40, 96, (32, 64, 4, False)),
    ("gptq 64", 40, 192, (64, 128, 1, True)),
    ("awq 128", 40, 384, (64, 64, 2, False)),
    ("gptq 8 bits row", 24, 160, (32, 64, 4, False)),
    ("gptq_v2 8 bits", 24, 256, (64, 128, 1, True)),
]
CHUNKS_IN_CHROMIUM = [
    CHUNKS[i] for i, (name, *_) in enumerate(CHUNKS) if name in ("q2_k", "gptq 8 bits row")
] + [case for case in CHUNKS if case[0] in ("q4_k", "q6_k") and case[2] != 512]


@pytest.mark.parametrize(("name", "n", "k", "tile"), of_native(CHUNKS, CHUNKS_IN_CHROMIUM), ids=str)
async def test_a_chunk(
    runner: Runner,
    name: str,
    n: int,
    k: int,
    tile: tuple[int, int, int, bool],
    rng: np.random.Generator,
) -> None:
    """Integers are exact: what differs is the order of the sum over blocks. Some rows are nothing
    but greatest numbers, of one sign in the one half of a block and of the other in the other."""
    fmt, weight, arrays = await weight_of(runner, name, n, k, rng)
    m = 2 * tile[0]
    codes, scales = quantized(rng.standard_normal((m, k)).astype(np.float32))
    scales *= rng.uniform(0.1, 3, scales.shape).astype(np.float32)
    codes[::7] = 127
    codes[1::7] = np.repeat([127, -127], BLOCK // 2).tolist() * (k // BLOCK)
    out = await runner.run(
        dot4(fmt, "store", codes.shape, tile, N=n, SLICE=n, Y_STRIDE=n),
        {
            "x": buffer_of(codes, scales),
            "vectors": np.zeros(4, np.float32),
            "y": np.zeros((m, n), np.float32),
            **arrays,
        },
        (-(-n // tile[1]), 2),
    )
    seen = (codes * np.repeat(scales, BLOCK, axis=1)).astype(np.float64)
    most = (np.abs(seen) @ np.abs(weight.T)).max()
    np.testing.assert_allclose(out["y"], seen @ weight.T, rtol=0, atol=3e-7 * most)
