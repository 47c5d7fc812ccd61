"""Quantized formats from a file's bytes to results: kernels compute with what numpy decodes.

The layout between the loading kernel and the readers is theirs alone: the tests see both ends.
"""

from __future__ import annotations

import numpy as np
import pytest
from blocks import BLOCKS, FIXTURE, decode, random_blocks, rows_of_blocks
from formats import LAID_OUT
from runners import Runner, of_native
from test_linear import padded_rows, snippets, step_words
from test_repack import staged

from webllm_py.gpu.kernels import kernel
from webllm_py.runtime.weights.storage import STORAGE

# Those that test_linear.py does not have, and one for each way in which a reader ends.
NEW = [fmt for fmt in BLOCKS if fmt not in LAID_OUT]
KINDS = ("q5_k", "q6_k", "iq4_nl")


@pytest.mark.parametrize("fmt", BLOCKS)
def test_numpy_decodes_as_gguf_does(fmt: str) -> None:
    with np.load(FIXTURE) as fixture:
        data, values = fixture[fmt], fixture[f"{fmt} values"]
    np.testing.assert_array_equal(decode(fmt, data.tobytes(), 256), values)


async def placed(
    runner: Runner,
    fmt: str,
    data: bytes,
    columns: int,
    arrays: dict[str, np.ndarray],
    first: int = 0,
    **sizes: int,
) -> dict[str, np.ndarray]:
    """The buffers after a piece of a tensor's rows, from row ``first`` on, went there."""
    size, length, *_ = BLOCKS[fmt]
    rows = len(data) // size * length // columns
    out = await runner.run(
        kernel(
            "repack",
            snippets={"format": f"repack/{fmt}", "order": "repack/by_rows"},
            BLOCKS=columns // 32,
            K=columns,
            **sizes,
        ),
        {"staged": staged(data), "piece": np.array([rows, first, 0], np.uint32), **arrays},
        (-(-rows * columns // 32 // 64),),
    )
    return {name: out[name] for name in arrays}


def zeroed(fmt: str, rows: int, columns: int) -> dict[str, np.ndarray]:
    sizes = STORAGE[fmt].sizes(rows, columns)
    return {name: np.zeros(-(-size // 16) * 4, np.uint32) for name, size in sizes.items()}


async def embedded(
    runner: Runner, fmt: str, arrays: dict[str, np.ndarray], rows: int, columns: int
) -> np.ndarray:
    """Every row, as the embedding reads it."""
    out = await runner.run(
        kernel(
            "embed",
            snippets={"quant": f"quant/{fmt}"},
            UNITS=columns // 8,
            SLICE=rows,
            STEP_ROWS=4,
        ),
        {
            "step": step_words([0] * rows, tokens=[*range(rows)]),
            "y": np.zeros((rows, columns), np.float32),
            **arrays,
        },
        (-(-columns // 512), rows),
    )
    return out["y"]


async def multiplied(
    runner: Runner, fmt: str, arrays: dict[str, np.ndarray], rows: int, columns: int
) -> np.ndarray:
    """Every row, a column at a time: rows of the identity pick them."""
    out = await runner.run(
        kernel(
            "gemm_direct",
            snippets=snippets("gemm_direct", fmt, "store"),
            UNITS=columns // 8,
            N=rows,
            SLICE=rows,
            Y_STRIDE=rows,
        ),
        {
            "x": np.eye(columns, dtype=np.float32),
            "vectors": np.zeros(4, np.float32),
            "y": np.zeros((columns, rows), np.float32),
            **arrays,
        },
        (1, columns // 4),
    )
    return out["y"].T


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
        arrays = await placed(runner, fmt, data, columns, arrays, first, **sizes)
    for read in (embedded, multiplied):
        found = await read(runner, fmt, arrays, 2 * rows, columns)
        for base, data in enumerate(pair):
            np.testing.assert_array_equal(found[base::2], decode(fmt, data, columns))


async def tame(
    runner: Runner, fmt: str, n: int, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A weight of variance 1: what it decodes to, and its buffers."""
    data = rows_of_blocks(fmt, rng.standard_normal((n, k), np.float32))
    return decode(fmt, data, k), await placed(runner, fmt, data, k, zeroed(fmt, n, k))


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
    out = await runner.run(
        kernel(
            "gemm",
            snippets=snippets("gemm", fmt, "store"),
            UNITS=k // 8,
            N=n,
            SLICE=n,
            Y_STRIDE=n,
            TM=32,
            TN=64,
            PREFETCH=False,
            THREADS=32,
        ),
        {
            "x": x,
            "vectors": np.zeros(4, np.float32),
            "y": np.zeros((m, n), np.float32),
            **arrays,
        },
        (2, 1),
    )
    np.testing.assert_allclose(out["y"], x.astype(np.float64) @ weight.T, rtol=0, atol=3e-6 * k)
