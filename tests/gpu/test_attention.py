"""Rotary embedding, the paged cache and both attention paths against numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from formats import laid_out
from runners import Runner

from webllm_py.gpu.kernels import kernel

PAGE, MAX_PAGES, FINE, ROWS_AT = 32, 16, 8, 4
MAX_ROWS = 64
PAGES_AT = ROWS_AT + 4 * MAX_ROWS
THETA = 10000.0


@dataclass
class Shape:
    heads: int
    kv_heads: int
    head_dim: int
    rotary: int


SHAPES = [
    Shape(4, 4, 8, 8),
    Shape(2, 1, 64, 64),
    Shape(8, 2, 80, 32),
    Shape(7, 1, 96, 96),
    Shape(6, 2, 128, 128),
]


class Cache:
    """A sequence's keys and values, and the layer's pages as the kernels lay them out."""

    def __init__(self, shape: Shape, dtype: type, rng: np.random.Generator):
        self.shape, self.dtype = shape, dtype
        self.page_table = rng.permutation(MAX_PAGES).astype(np.uint32)

    def pages(self, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
        """(positions, kv_heads, head_dim) each -> the buffer."""
        s = self.shape
        pool = np.zeros((MAX_PAGES, 2, s.kv_heads, PAGE * s.head_dim), self.dtype)
        for position in range(len(keys)):
            page, t = self.page_table[position // PAGE], position % PAGE
            k = pool[page, 0].reshape(s.kv_heads, s.head_dim // 8, PAGE, 8)
            k[:, :, t] = keys[position].reshape(s.kv_heads, -1, 8)
            v = pool[page, 1].reshape(s.kv_heads, PAGE, s.head_dim)
            v[:, t] = values[position]
        return pool

    def step(self, positions: range) -> np.ndarray:
        words = np.zeros(PAGES_AT + 2 * MAX_PAGES, np.uint32)
        words[0] = len(positions)
        for m, position in enumerate(positions):
            words[ROWS_AT + 4 * m : ROWS_AT + 4 * m + 3] = (0, position, 1)  # slot 1
        words[PAGES_AT + MAX_PAGES :] = self.page_table
        return words

    @property
    def words(self) -> dict[str, int]:
        return {
            "KV_HEADS": self.shape.kv_heads,
            "HEAD_DIM": self.shape.head_dim,
            "PAGE": PAGE,
            "STEP_ROWS": ROWS_AT,
            "STEP_PAGES": PAGES_AT,
            "MAX_PAGES": MAX_PAGES,
        }


def attention(q: np.ndarray, keys: np.ndarray, values: np.ndarray, first: int) -> np.ndarray:
    """Causal attention in float64: q (rows, heads, d) at positions first, first + 1, ..."""
    out = np.zeros(q.shape)
    per_kv = q.shape[1] // keys.shape[1]
    for m in range(len(q)):
        for h in range(q.shape[1]):
            k = keys[: first + m + 1, h // per_kv].astype(np.float64)
            s = k @ q[m, h] / np.sqrt(q.shape[2])
            p = np.exp(s - s.max())
            out[m, h] = p @ values[: first + m + 1, h // per_kv] / p.sum()
    return out


def wide(q: np.ndarray) -> np.ndarray:
    """Zeros for an answer whose rows are 8 elements longer than its heads."""
    return np.zeros((len(q), q.shape[1] * q.shape[2] + 8), np.float32)


def narrow(y: np.ndarray, q: np.ndarray) -> np.ndarray:
    assert not y[:, -8:].any(), "written past the heads"
    return y[:, :-8].reshape(q.shape)


def rope_table(rotary: int) -> np.ndarray:
    frequencies = THETA ** (-np.arange(0, rotary, 2) / rotary)
    positions = np.concatenate([np.arange(FINE), FINE * np.arange(MAX_PAGES * PAGE // FINE)])
    angles = positions[:, None] * frequencies
    return np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float32)


def rotated(x: np.ndarray, position: int, rotary: int) -> np.ndarray:
    """(heads, d): adjacent pairs of the first ``rotary`` elements turned."""
    angle = position * THETA ** (-np.arange(0, rotary, 2) / rotary)
    out = x.astype(np.float64).copy()
    even, odd = x[:, 0:rotary:2], x[:, 1:rotary:2]
    out[:, 0:rotary:2] = even * np.cos(angle) - odd * np.sin(angle)
    out[:, 1:rotary:2] = even * np.sin(angle) + odd * np.cos(angle)
    return out


@pytest.mark.parametrize("kv", ["f16", "f32"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("keys", [1, 63, 200, 500])
async def test_split_attention(runner: Runner, shape: Shape, kv: str, keys: int) -> None:
    rng = np.random.default_rng(keys)
    cache = Cache(shape, np.float16 if kv == "f16" else np.float32, rng)
    k, v = rng.standard_normal((2, keys, shape.kv_heads, shape.head_dim)).astype(cache.dtype)
    q = rng.standard_normal((1, shape.heads, shape.head_dim)).astype(np.float32)
    splits, threads = 3, 64
    quads = -(-shape.heads // shape.kv_heads // 4)
    step = cache.step(range(keys - 1, keys))
    partial = await runner.run(
        kernel(
            "attention_split",
            snippets={"pages": "kv/pages", "kv_read": f"kv/read_{kv}"},
            HEADS=shape.heads,
            QUADS=quads,
            SPLITS=splits,
            SCALE=shape.head_dim**-0.5,
            LANES=threads,
            THREADS=threads,
            **cache.words,
        ),
        {
            "q": q,
            "step": step,
            "kv": cache.pages(k, v),
            "partial": np.full((shape.heads, splits, shape.head_dim + 2), np.nan, np.float32),
        },
        (splits, shape.kv_heads * quads, 1),
    )
    out = await runner.run(
        kernel(
            "attention_combine",
            HEADS=shape.heads,
            HEAD_DIM=shape.head_dim,
            SPLITS=splits,
            KEYS=threads,
            Y_STRIDE=shape.heads * shape.head_dim + 8,
            STEP_ROWS=ROWS_AT,
        ),
        {"partial": partial["partial"], "step": step, "y": wide(q)},
        (shape.heads, 1),
    )
    np.testing.assert_allclose(narrow(out["y"], q), attention(q, k, v, keys - 1), rtol=0, atol=3e-6)


@pytest.mark.parametrize("kv", ["f16", "f32"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("first", "rows"), [(0, 1), (0, 37), (70, 40)])
async def test_prefill_attention(
    runner: Runner, shape: Shape, kv: str, first: int, rows: int
) -> None:
    rng = np.random.default_rng(first + rows)
    cache = Cache(shape, np.float16 if kv == "f16" else np.float32, rng)
    n = first + rows
    k, v = rng.standard_normal((2, n, shape.kv_heads, shape.head_dim)).astype(cache.dtype)
    q = rng.standard_normal((rows, shape.heads, shape.head_dim)).astype(np.float32)
    queries = 16
    out = await runner.run(
        kernel(
            "attention_prefill",
            snippets={"pages": "kv/pages", "kv_read": f"kv/read_{kv}"},
            HEADS=shape.heads,
            QUERIES=queries,
            SCALE=shape.head_dim**-0.5,
            Y_STRIDE=shape.heads * shape.head_dim + 8,
            THREADS=queries // 4 * shape.head_dim // 8,
            **cache.words,
        ),
        {
            "q": q,
            "step": cache.step(range(first, n)),
            "kv": cache.pages(k, v),
            "y": wide(q),
        },
        (-(-rows // queries), shape.heads),
    )
    tolerance = 3e-3 if runner.variant.f16 else 3e-6
    np.testing.assert_allclose(
        narrow(out["y"], q), attention(q, k, v, first), rtol=0, atol=tolerance
    )


@pytest.mark.parametrize("kv", ["f16", "f32"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["gemv", "gemm"])
async def test_rope_and_append(runner: Runner, shape: Shape, kv: str, name: str) -> None:
    rng = np.random.default_rng(shape.head_dim)
    cache = Cache(shape, np.float16 if kv == "f16" else np.float32, rng)
    first, rows = (301, 1) if name == "gemv" else (29, 9)
    k, d = 32, shape.head_dim
    n = (shape.heads + 2 * shape.kv_heads) * d
    weight, arrays = laid_out("f32", rng.standard_normal((n, k), np.float32))
    x = np.zeros((32, k), np.float32)
    x[:rows] = rng.standard_normal((rows, k))
    sizes = {"UNITS": 4, "N": n, "SLICE": n, "HEADS": shape.heads, "ROTARY": shape.rotary}
    if name == "gemv":
        sizes |= {"K": k, "LANES": 2, "GROUPS": 16, "QUADS": 1, "UNROLL": 1, "THREADS": 32}
        groups: tuple[int, ...] = (-(-n // 64),)
    else:
        sizes |= {"TM": 32, "TN": 64, "PREFETCH": True, "THREADS": 32}
        groups = (-(-n // 64), 1)
    out = await runner.run(
        kernel(
            name,
            snippets={
                "quant": "quant/f32",
                "epilogue": "epilogue/rope_append",
                "finish": "linear/finish",
                "pages": "kv/pages",
                "kv_write": f"kv/write_{kv}",
            },
            FINE=FINE,
            **sizes,
            **cache.words,
        ),
        {
            "x": x,
            "vectors": np.zeros(4, np.float32),
            "step": cache.step(range(first, first + rows)),
            "rope": rope_table(shape.rotary),
            "q_out": np.zeros((32, shape.heads, d), np.float32),
            "kv": np.zeros(MAX_PAGES * 2 * shape.kv_heads * PAGE * d, cache.dtype),
            **arrays,
        },
        groups,
    )
    qkv = (x[:rows] @ weight.T).reshape(rows, -1, d)
    keys = np.zeros((first + rows, shape.kv_heads, d))
    values = np.zeros((first + rows, shape.kv_heads, d))
    for m in range(rows):
        q = rotated(qkv[m, : shape.heads], first + m, shape.rotary)
        np.testing.assert_allclose(out["q_out"][m], q, rtol=0, atol=3e-5)
        keys[first + m] = rotated(
            qkv[m, shape.heads : shape.heads + shape.kv_heads], first + m, shape.rotary
        )
        values[first + m] = qkv[m, shape.heads + shape.kv_heads :]
    expected = cache.pages(keys, values).astype(np.float32)
    got = out["kv"].reshape(expected.shape).astype(np.float32)
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.02 if kv == "f16" else 3e-5)
    assert not out["q_out"][rows:].any(), "rows past the chunk's end were written"
