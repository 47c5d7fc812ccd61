"""Quantized formats from a file's bytes to results: kernels compute with what numpy decodes.

The layout between the loading kernel and the readers is theirs alone: the tests see both ends.
"""

from __future__ import annotations

import numpy as np
import pytest
from blocks import BLOCKS, FIXTURE, decode, random_blocks
from formats import LAID_OUT
from linear_kernels import chunk_product, embedded, multiplied, padded_rows, snippets
from placing import placed_blocks, tame, zeroed
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel

# Those that test_linear.py does not have, and one for each way in which a reader ends.
NEW = [fmt for fmt in BLOCKS if fmt not in LAID_OUT]
KINDS = ("q5_k", "q6_k", "iq4_nl")


@pytest.mark.parametrize("fmt", BLOCKS)
def test_numpy_decodes_as_gguf_does(fmt: str) -> None:
    with np.load(FIXTURE) as fixture:
        data, values = fixture[fmt], fixture[f"{fmt} values"]
    np.testing.assert_array_equal(decode(fmt, data.tobytes(), 256), values)


@pytest.mark.parametrize("fmt", BLOCKS)
async def test_weights_are_decoded_exactly(
    runner: Runner, fmt: str, rng: np.random.Generator
) -> None:
    """Scales of every size; two tensors take every other row, one of them in two pieces."""
    rows, columns = 9, 512
    pair = [random_blocks(fmt, rows, columns, rng) for _ in range(2)]
    cut = len(pair[1]) // rows * 5
    arrays = zeroed(fmt, 2 * rows, columns)
    for base, first, data in ((0, 0, pair[0]), (1, 0, pair[1][:cut]), (1, 5, pair[1][cut:])):
        sizes = {"BASE": base, "STRIDE": 2}
        arrays = await placed_blocks(runner, fmt, data, columns, arrays, first, **sizes)
    for read in (embedded, multiplied):
        found = await read(runner, fmt, arrays, 2 * rows, columns)
        for base, data in enumerate(pair):
            np.testing.assert_array_equal(found[base::2], decode(fmt, data, columns))


def columns_for(fmt: str, k: int) -> int:
    """The nearest row length that the format can have."""
    length = BLOCKS[fmt][1]
    return max(length, round(k / length) * length)


ONE_ROW = [(fmt, 1, 37, 480, "gemv") for fmt in NEW]
FEW_ROWS = [(fmt, 5, 22, 288, "gemv_rows") for fmt in KINDS]


@pytest.mark.parametrize(
    ("fmt", "rows", "n", "k", "name"), of_native([*ONE_ROW, *FEW_ROWS], ONE_ROW)
)
async def test_few_rows(
    runner: Runner, fmt: str, rows: int, n: int, k: int, name: str, rng: np.random.Generator
) -> None:
    k = columns_for(fmt, k)
    weight, arrays = await tame(runner, fmt, n, k, rng)
    x = np.zeros((1 if rows == 1 else 8, k), np.float32)
    x[:rows] = rng.standard_normal((rows, k)) * 2
    norm = rng.standard_normal(k).astype(np.float32)
    bias = rng.standard_normal(n + -n % 4).astype(np.float32)
    more = {"QUADS": 1, "UNROLL": 2} if name == "gemv" else {"ROWS": 8}
    out = await runner.run(
        kernel(
            name,
            snippets=snippets(name, fmt, "store"),
            UNITS=k // 8,
            K=k,
            N=n,
            SLICE=n,
            LANES=16,
            GROUPS=2,
            THREADS=32,
            NORM=True,
            BIAS=True,
            BIAS_AT=k // 4,
            EPS=1e-5,
            Y_STRIDE=n,
            **more,
        ),
        {
            "x": x,
            "vectors": np.concatenate([norm, bias]),
            "y": np.zeros((len(x), n), np.float32),
            **arrays,
        },
        (-(-n // 8),),
    )
    normed = x[:rows] * norm / np.sqrt((x[:rows] ** 2).mean(1, keepdims=True) + 1e-5)
    expected = normed.astype(np.float64) @ weight.T + bias[:n]
    np.testing.assert_allclose(out["y"][:rows], expected, rtol=0, atol=3e-6 * k)


@pytest.mark.parametrize("fmt", of_native(KINDS, ()))
async def test_many_rows(runner: Runner, fmt: str, rng: np.random.Generator) -> None:
    m, n, k = 32, 70, columns_for(fmt, 352)
    weight, arrays = await tame(runner, fmt, n, k, rng)
    x = padded_rows(rng.standard_normal((m, k)))
    y = await chunk_product(runner, fmt, arrays, x, n)
    np.testing.assert_allclose(y, x.astype(np.float64) @ weight.T, rtol=0, atol=3e-6 * k)
