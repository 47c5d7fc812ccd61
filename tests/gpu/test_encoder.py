"""What encoders need besides: added embeddings, attention both ways, pooling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formats import laid_out
from linear_kernels import step_words
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel


async def test_embed_adds_the_row_of_a_position(runner: Runner, rng: np.random.Generator) -> None:
    table, arrays = laid_out("f32", rng.standard_normal((8, 96), np.float32))
    before = rng.standard_normal((4, 96)).astype(np.float32)
    out = await runner.run(
        kernel(
            "embed",
            snippets={"quant": "quant/f32"},
            **{"UNITS": 12, "SLICE": 8, "STEP_ROWS": 4, "WORD": 1, "ADD": True},
        ),
        {"step": step_words([5, 0, 7], tokens=[1, 2, 3]), "y": before, **arrays},
        (1, 4),
    )
    np.testing.assert_allclose(out["y"][:3], before[:3] + table[[5, 0, 7]], rtol=1e-6)
    np.testing.assert_array_equal(out["y"][3], before[3])


HEADS = [(3, 8), (12, 32), (2, 64), (1, 96), (2, 128)]


@pytest.mark.parametrize(("heads", "head_dim"), of_native(HEADS, [(12, 32), (1, 96)]))
async def test_attention_of_texts(
    runner: Runner, heads: int, head_dim: int, rng: np.random.Generator
) -> None:
    lengths = [5, 16, 1, 75]
    rows, width = sum(lengths), heads * head_dim
    qkv = rng.standard_normal((rows, 3, heads, head_dim)).astype(np.float32)
    qkv[:, 1] *= 3
    tiles, expected, first = [], np.zeros((rows + 3, width + 4), np.float32), 0
    for length in lengths:
        end = first + length
        tiles += [(row, min(row + 16, end), first, end) for row in range(first, end, 16)]
        q, k, v = qkv[first:end].astype(np.float64).swapaxes(0, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(head_dim)
        p = np.exp(scores - scores.max(2, keepdims=True))
        found = np.einsum("hqk,khd->qhd", p / p.sum(2, keepdims=True), v)
        expected[first:end, :width] = found.reshape(length, width)
        first = end
    tiles += [(0, 0, 0, 0)] * 2
    out = await runner.run(
        kernel(
            "attention_encoder",
            **{"HEADS": heads, "HEAD_DIM": head_dim, "SCALE": head_dim**-0.5},
            **{"Y_STRIDE": width + 4, "SHARES": 128 // head_dim, "LANES": 32, "THREADS": 128},
        ),
        {"qkv": qkv, "tiles": np.array(tiles, np.uint32), "y": np.zeros_like(expected)},
        (len(tiles), heads),
    )
    np.testing.assert_allclose(out["y"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
async def test_pool(runner: Runner, normalize: bool, rng: np.random.Generator) -> None:
    x = rng.standard_normal((20, 160)).astype(np.float32)
    texts = [(0, 7), (7, 8), (8, 20), (0, 0)]
    out = await runner.run(
        kernel("pool", UNITS=20, NORMALIZE=normalize, LANES=32, THREADS=32),
        {"x": x, "texts": np.array(texts, np.uint32), "y": np.zeros((4, 160), np.float32)},
        (1, 4),
    )
    expected = np.array([x[first:end].mean(0) for first, end in texts[:3]])
    if normalize:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(out["y"][:3], expected, rtol=1e-5, atol=1e-6)
