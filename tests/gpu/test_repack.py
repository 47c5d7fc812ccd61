"""Loading kernels against numpy: every format from file bytes to the readers' layout."""

from __future__ import annotations

import numpy as np
import pytest
from formats import gguf_bytes, laid_out, without_ties
from placing import staged
from runners import Runner

from webllm_py.gpu.kernels import Kernel, kernel

REPACK = {
    "f32": "copy32",
    "f16": "copy16",
    "bf16": "copy16",
    "q4_0": "q4_0",
    "q4_1": "q4_1",
    "q8_0": "q8_0",
}


def repack(fmt: str, **sizes: int) -> Kernel:
    snippets = {"format": f"repack/{REPACK[fmt]}", "order": "repack/by_rows"}
    return kernel("repack", snippets=snippets, **sizes)


def empty(arrays: dict[str, np.ndarray], rows_factor: int = 1) -> dict[str, np.ndarray]:
    """Zeroed word buffers as long as these arrays."""
    return {
        name: np.zeros(-(-array.nbytes * rows_factor // 4), np.uint32)
        for name, array in arrays.items()
    }


def words(array: np.ndarray) -> np.ndarray:
    raw = array.tobytes()
    return np.frombuffer(raw + b"\0" * (-len(raw) % 4), np.uint32)


@pytest.mark.parametrize("fmt", REPACK)
async def test_pieces_put_rows_where_they_belong(
    runner: Runner, fmt: str, rng: np.random.Generator
) -> None:
    """A tensor in two pieces lands row by row, the second staged behind something else; odd block
    counts straddle the words of scales."""
    n, k = 7, 96 if fmt.startswith("q") else 75
    weight = rng.standard_normal((n, k)).astype(np.float32)
    _, expected = laid_out(fmt, weight)
    arrays = empty(expected)
    for first, last, before in ((0, 4, 0), (4, 7, 3)):
        out = await runner.run(
            repack(fmt, BLOCKS=3, K=k),
            {
                "staged": staged(b"\xee" * 4 * before + gguf_bytes(fmt, weight[first:last])),
                "piece": np.array([last - first, first, before], np.uint32),
                **arrays,
            },
            (1,),
        )
        arrays = {name: out[name] for name in arrays}
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], words(array), err_msg=name)


@pytest.mark.parametrize("fmt", REPACK)
async def test_interleaved_rows(runner: Runner, fmt: str, rng: np.random.Generator) -> None:
    """Two tensors share a matrix, every other row each: the gate and up projections."""
    n, k = 5, 64
    gate, up = rng.standard_normal((2, n, k)).astype(np.float32)
    _, expected = laid_out(fmt, np.stack([gate, up], 1).reshape(2 * n, k))
    arrays = empty(expected)
    for base, weight in enumerate((gate, up)):
        out = await runner.run(
            repack(fmt, BLOCKS=2, K=k, BASE=base, STRIDE=2),
            {
                "staged": staged(gguf_bytes(fmt, weight)),
                "piece": np.array([n, 0, 0], np.uint32),
                **arrays,
            },
            (1,),
        )
        arrays = {name: out[name] for name in arrays}
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], words(array), err_msg=name)


async def test_rotary_rows_become_adjacent(runner: Runner, rng: np.random.Generator) -> None:
    """Rows i and i + rotary / 2 of each head come to lie side by side; the rest stays."""
    heads, d, rotary, k = 3, 12, 8, 32
    weight = rng.standard_normal((heads * d, k)).astype(np.float32)
    base = 4
    out = await runner.run(
        repack("f32", BLOCKS=1, K=k, BASE=base, HEAD_DIM=d, ROTARY=rotary),
        {
            "staged": staged(weight.tobytes()),
            "piece": np.array([heads * d, 0, 0], np.uint32),
            "quants": np.zeros((base + heads * d) * k, np.float32),
        },
        (1,),
    )
    expected = weight.reshape(heads, d, k).copy()
    half = rotary // 2
    expected[:, 0:rotary:2] = weight.reshape(heads, d, k)[:, :half]
    expected[:, 1:rotary:2] = weight.reshape(heads, d, k)[:, half:rotary]
    rows = np.concatenate([np.zeros((base, k), np.float32), expected.reshape(-1, k)])
    np.testing.assert_array_equal(out["quants"], laid_out("f32", rows)[1]["quants"].reshape(-1))


@pytest.mark.parametrize("source", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("fmt", ["q4_0", "q8_0"])
async def test_quantization_at_load(
    runner: Runner, fmt: str, source: str, rng: np.random.Generator
) -> None:
    n, k = 9, 172
    weight = rng.standard_normal((n, k)).astype(np.float32)
    weight[2, 32:64] = 0
    weight, _ = laid_out(source, weight)  # what the file's format can hold
    weight = without_ties(weight)
    decoded, expected = laid_out(fmt, weight)
    out = await runner.run(
        kernel(
            "repack",
            snippets={
                "format": f"repack/quantize_{fmt}",
                "order": "repack/by_rows",
                "source": f"repack/source_{source}",
            },
            BLOCKS=6,
            K=k,
        ),
        {
            "staged": staged(gguf_bytes(source, weight[:, :k])),
            "piece": np.array([n, 0, 0], np.uint32),
            **empty(expected),
        },
        (1,),
    )
    # The GPU may round the scale to float16 either way: compare what the weights decode to.
    got = decode(fmt, out, decoded.shape)
    step = np.abs(decoded).max() / (8 if fmt == "q4_0" else 127)
    assert np.abs(got - decoded).max() <= step / 4


def decode(fmt: str, out: dict[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """What the readers' layout holds, rows as they were."""
    rows, columns = shape
    n_quads, units = -(-rows // 4), columns // 8
    scale = out["scales"].view(np.float16).astype(np.float32).reshape(n_quads, -1, 4, 1)
    raw = out["quants"].view(np.uint8)
    if fmt == "q8_0":
        halves = raw.reshape(n_quads, units, 2, 4, 4).astype(np.int16) - 128
        codes = halves.transpose(0, 1, 3, 2, 4).reshape(n_quads, units, 4, 8).astype(np.float32)
    else:
        bytes4 = raw.reshape(n_quads, units, 4, 4)
        codes = np.concatenate([bytes4 & 15, bytes4 >> 4], -1).astype(np.float32) - 8
    decoded = codes * scale.repeat(4, axis=1)
    return decoded.transpose(0, 2, 1, 3).reshape(n_quads * 4, columns)[:rows]
