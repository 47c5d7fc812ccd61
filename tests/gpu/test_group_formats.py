"""MLC's quantized tensors from a file's bytes to results: kernels compute with what numpy decodes.

The layout between the loading kernels and the readers is theirs alone: the tests see both ends.
"""

from __future__ import annotations

import numpy as np
import pytest
from eight_bits import buffer_of, dot4, quantized
from groups import GROUPS
from linear_kernels import chunk_product, embedded, multiplied, snippets
from placing import placed, whole
from runners import Runner, of_native

from webllm_py.checkpoint.checkpoint import FORMATS, TensorInfo
from webllm_py.checkpoint.mlc_format import BY_COLUMNS, GROUP_FORMATS
from webllm_py.gpu.kernels import kernel
from webllm_py.models.weights import Matrix, Part
from webllm_py.runtime.weights.storage import slice_plans

# Rows of whole groups, and rows that end within a word.
COLUMNS = {4: (160, 101), 3: (200, 101)}
CASES = [(name, k) for name, group in GROUPS.items() for k in COLUMNS[group.bits]]
IN_CHROMIUM = (("Q4F16_0", 101), ("Q4F32_1", 101), ("Q3F16_1", 101))


class Stored:
    """A quantized tensor, as the file has it, and what it decodes to."""

    def __init__(self, name: str, codes: np.ndarray, scales: np.ndarray):
        group = GROUPS[name]
        words, bits = group.stored(codes, scales)
        kind = "BF16" if group.bf16 else "F16"
        flat = BY_COLUMNS[kind] if group.by_columns else FORMATS[kind]
        data = words.tobytes() + bits.tobytes()
        at, end = words.nbytes, len(data)
        self.values = group.decoded(codes, scales)
        self.data = data
        # The kernels' bytes come from here: there is no source.
        scale = TensorInfo("scales", scales.shape, flat, None, at, end - at)  # type: ignore[arg-type]
        self.info = TensorInfo(
            "codes",
            codes.shape,
            GROUP_FORMATS[name],
            None,  # type: ignore[arg-type]
            0,
            at,
            {"scales": scale},
        )


def random_scales(name: str, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Of any size, down to the smallest float16, and zero; bfloat16 that are no extremes."""
    group = GROUPS[name]
    shape = (rows, -(-columns // group.size))
    bits = rng.integers(0, 0x7C00, shape, np.uint16) | rng.integers(0, 2, shape, np.uint16) << 15
    if group.bf16:
        return (bits & 0x83FF | rng.integers(0x3000, 0x5000, shape) & 0x7C00).astype(np.uint16)
    bits.reshape(-1)[::7] = 0
    bits.reshape(-1)[1::7] = 1
    bits.reshape(-1)[2::7] = 0x7BFF
    return bits.astype(np.uint16)


@pytest.mark.parametrize(("name", "columns"), of_native(CASES, IN_CHROMIUM))
async def test_weights_are_decoded_exactly(
    runner: Runner, name: str, columns: int, rng: np.random.Generator
) -> None:
    """One tensor is cut by rows: two parts of it alternate, the third follows them. Codes are any
    that the bits allow; past a row's end there are zeros."""
    rows = 15
    codes = rng.integers(0, 2 ** GROUPS[name].bits, (rows, columns), np.uint32)
    stored = Stored(name, codes, random_scales(name, rows, columns, rng))
    first = Part(stored.info, 0, 2, first=9)
    second = Part(stored.info, 1, 2, first=3, count=6)
    third = Part(stored.info, count=3)
    pair = Matrix("pair", 12, columns, (first, second))
    fmt = slice_plans(pair, None, 1 << 30)[0].format
    padded = pair.blocks * 32
    expected = np.zeros((rows, padded), np.float32)
    expected[:, :columns] = stored.values
    for matrix, wanted in (
        (pair, np.stack([expected[9:15], expected[3:9]], 1).reshape(12, padded)),
        (Matrix("third", 3, columns, (third,)), expected[:3]),
    ):
        arrays = await placed(runner, matrix, stored.data)
        for read in (embedded, multiplied):
            found = await read(runner, fmt, arrays, len(wanted), padded)
            np.testing.assert_array_equal(found, wanted)


def tame(name: str, n: int, k: int, rng: np.random.Generator) -> Stored:
    """A weight of variance 1."""
    return Stored(name, *GROUPS[name].quantize(rng.standard_normal((n, k), np.float32)))


def x_of(rows: int, k: int, padded: int, rng: np.random.Generator) -> np.ndarray:
    x = np.zeros((rows, padded), np.float32)
    x[:, :k] = rng.standard_normal((rows, k))
    return x


READERS = ("Q4F16_1", "Q4F32_1", "Q3F16_1")


@pytest.mark.parametrize("name", of_native(READERS, ("Q3F16_1",)))
async def test_one_row(runner: Runner, name: str, rng: np.random.Generator) -> None:
    n, k = 37, 477
    stored = tame(name, n, k, rng)
    fmt, arrays = await whole(runner, stored.info, stored.data)
    padded = 480
    x = x_of(1, k, padded, rng)
    out = await runner.run(
        kernel(
            "gemv",
            snippets=snippets("gemv", fmt, "store"),
            UNITS=padded // 8,
            K=k,
            N=n,
            SLICE=n,
            LANES=16,
            GROUPS=2,
            THREADS=32,
            QUADS=1,
            UNROLL=2,
            Y_STRIDE=n,
        ),
        {
            "x": x,
            "vectors": np.zeros(4, np.float32),
            "y": np.zeros((1, n), np.float32),
            **arrays,
        },
        (-(-n // 8),),
    )
    expected = x[:, :k].astype(np.float64) @ stored.values.T
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=3e-6 * k)


@pytest.mark.parametrize("name", of_native(READERS, ()))
async def test_many_rows(runner: Runner, name: str, rng: np.random.Generator) -> None:
    m, n, k = 32, 70, 350
    stored = tame(name, n, k, rng)
    fmt, arrays = await whole(runner, stored.info, stored.data)
    x = x_of(m, k, 352, rng)
    y = await chunk_product(runner, fmt, arrays, x, n)
    expected = x[:, :k].astype(np.float64) @ stored.values.T
    np.testing.assert_allclose(y, expected, rtol=0, atol=3e-6 * k)


@pytest.mark.parametrize("name", of_native(("Q4F16_1", "Q4F32_1"), ("Q4F32_1",)))
async def test_in_8_bits(runner: Runner, name: str, rng: np.random.Generator) -> None:
    """Any codes, also 15, which stands for 8."""
    m, n, k, tile = 32, 70, 416, (32, 64, 1, False)
    codes = rng.integers(0, 16, (n, k), np.uint32)
    scales = GROUPS[name].rounded(rng.uniform(-1, 1, (n, k // 32)).astype(np.float32))
    stored = Stored(name, codes, scales)
    fmt, arrays = await whole(runner, stored.info, stored.data)
    x, steps = quantized(rng.standard_normal((m, k)).astype(np.float32))
    out = await runner.run(
        dot4(fmt, "store", x.shape, tile, N=n, SLICE=n, Y_STRIDE=n),
        {
            "x": buffer_of(x, steps),
            "vectors": np.zeros(4, np.float32),
            "y": np.zeros((m, n), np.float32),
            **arrays,
        },
        (2, 1),
    )
    expected = (x * np.repeat(steps, 32, axis=1)).astype(np.float64) @ stored.values.T
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=k * 4e-6)
