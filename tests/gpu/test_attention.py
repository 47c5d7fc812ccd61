"""Rotary embedding, the paged cache and both attention paths against numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from formats import laid_out
from runners import Runner, of_native

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


# Where 8-bit blocks are, or are not, whole parts of a head; the rest is as with the others.
Q8_SHAPES = [SHAPES[2], SHAPES[4]]
PLAIN = [*((shape, "f16") for shape in SHAPES), (SHAPES[2], "f32"), (SHAPES[4], "f32")]
CACHES = [*PLAIN, *((shape, "q8") for shape in Q8_SHAPES)]
# The shortest heads, the raggedest ones, and each format.
IN_CHROMIUM = [(SHAPES[0], "f16"), (SHAPES[3], "f16"), (SHAPES[4], "f32"), (SHAPES[2], "q8")]
# The first position of the rows, and how many there are.
PREFILLS = [(0, 1), (0, 37), (70, 40)]

DTYPES = {"f16": np.float16, "f32": np.float32, "q8": np.uint8}


def q8_blocks(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(positions, kv_heads, head_dim) -> bytes of that shape, and float16 (positions, blocks): the
    greatest of every 32 elements of a position."""
    rows = np.clip(x.reshape(len(x), x.shape[1] * x.shape[2]), -65504, 65504).astype(np.float32)
    width = rows.shape[1]
    blocks = np.pad(rows, ((0, 0), (0, -width % 32))).reshape(len(x), -(-width // 32), 32)
    greatest = np.abs(blocks).max(2).astype(np.float16)
    kept = greatest.astype(np.float32)[:, :, None]
    steps = np.divide(127, kept, out=np.zeros_like(kept), where=kept > 0)
    codes = np.clip(np.round(blocks * steps), -127, 127) + 128
    codes = codes.reshape(len(x), blocks.shape[1] * 32)[:, :width].reshape(x.shape)
    return codes.astype(np.uint8), greatest


class Cache:
    """A sequence's keys and values, and the layer's pages as the kernels lay them out."""

    def __init__(self, shape: Shape, kv: str, rng: np.random.Generator):
        self.shape, self.kv = shape, kv
        self.page_table = rng.permutation(MAX_PAGES).astype(np.uint32)

    def kept(self, x: np.ndarray) -> np.ndarray:
        """What the format leaves of keys or values (positions, kv_heads, head_dim)."""
        if self.kv != "q8":
            return x.astype(DTYPES[self.kv])
        codes, greatest = q8_blocks(x)
        scales = np.repeat(greatest.astype(np.float32) / np.float32(127), 32, axis=1)
        width = self.shape.kv_heads * self.shape.head_dim
        return (codes - np.float32(128)) * scales[:, :width].reshape(x.shape)

    def pages(self, keys: np.ndarray, values: np.ndarray, first: int = 0) -> np.ndarray:
        """(positions, kv_heads, head_dim) each, from position ``first`` -> the buffer, by pages."""
        if self.kv != "q8":
            return self.elements(keys, values, first)
        (keys, key_scales), (values, value_scales) = q8_blocks(keys), q8_blocks(values)
        scales = np.zeros((MAX_PAGES, key_scales.shape[1], PAGE, 2), np.float16)
        for position, row in enumerate(zip(key_scales, value_scales, strict=True), first):
            page, t = self.page_table[position // PAGE], position % PAGE
            scales[page, :, t] = np.stack(row, 1)
        parts = (self.elements(keys, values, first), scales.view(np.uint8))
        return np.concatenate([part.reshape(MAX_PAGES, -1) for part in parts], axis=1)

    def elements(self, keys: np.ndarray, values: np.ndarray, first: int) -> np.ndarray:
        """The pages without scales."""
        s = self.shape
        pool = np.zeros((MAX_PAGES, 2, s.kv_heads, PAGE * s.head_dim), DTYPES[self.kv])
        for position, (key, value) in enumerate(zip(keys, values, strict=True), first):
            page, t = self.page_table[position // PAGE], position % PAGE
            k = pool[page, 0].reshape(s.kv_heads, s.head_dim // 8, PAGE, 8)
            k[:, :, t] = key.reshape(s.kv_heads, -1, 8)
            v = pool[page, 1].reshape(s.kv_heads, PAGE, s.head_dim)
            v[:, t] = value
        return pool

    def step(self, positions: range) -> np.ndarray:
        words = np.zeros(PAGES_AT + 2 * MAX_PAGES, np.uint32)
        words[0] = len(positions)
        for m, position in enumerate(positions):
            words[ROWS_AT + 4 * m : ROWS_AT + 4 * m + 3] = (0, position, 1)  # slot 1
        words[PAGES_AT + MAX_PAGES :] = self.page_table
        return words

    @property
    def reader(self) -> dict[str, str]:
        words = {"pages": "kv/pages", "kv_read": f"kv/read_{self.kv}"}
        return {**words, "q8": "kv/q8"} if self.kv == "q8" else words

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


def attention(
    q: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    first: int,
    window: int = 0,
    softcap: float = 0.0,
    sinks: np.ndarray | None = None,
) -> np.ndarray:
    """Causal attention in float64: q (rows, heads, d) at positions first, first + 1, ..."""
    out = np.zeros(q.shape)
    per_kv = q.shape[1] // keys.shape[1]
    for m in range(len(q)):
        end = first + m + 1
        seen = slice(max(0, end - window) if window else 0, end)
        for h in range(q.shape[1]):
            k = keys[seen, h // per_kv].astype(np.float64)
            s = k @ q[m, h] / np.sqrt(q.shape[2])
            if softcap:
                s = softcap * np.tanh(s / softcap)
            p = np.exp(s - s.max())
            sink = 0.0 if sinks is None else np.exp(sinks[h] - s.max())
            out[m, h] = p @ values[seen, h // per_kv] / (p.sum() + sink)
    return out


def sinks_of(shape: Shape) -> np.ndarray:
    """A score of each head that has no value: most are large enough to matter."""
    return np.linspace(-3, 6, shape.heads).astype(np.float32)


def sink_words(sinks: np.ndarray | None) -> dict[str, str]:
    return {"sinks": "attention/no_sinks" if sinks is None else "attention/sinks"}


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


@pytest.mark.parametrize(
    ("shape", "kv", "keys"),
    of_native(
        [(*cache, keys) for keys in (1, 63, 200, 500) for cache in CACHES],
        [(*cache, keys) for cache, keys in zip(IN_CHROMIUM, (1, 500, 63, 200), strict=True)],
    ),
    ids=str,
)
async def test_split_attention(runner: Runner, shape: Shape, kv: str, keys: int) -> None:
    """Put together by a kernel of its own, or by the GEMV that multiplies with the result."""
    window, softcap = {200: (90, 0.8), 500: (300, 0.0)}.get(keys, (0, 0.0))
    rng = np.random.default_rng(keys)
    sinks = sinks_of(shape) if keys in (1, 500) else None
    cache = Cache(shape, kv, rng)
    made = rng.standard_normal((2, keys, shape.kv_heads, shape.head_dim)).astype(np.float32)
    k, v = (cache.kept(x) for x in made)
    q = rng.standard_normal((1, shape.heads, shape.head_dim)).astype(np.float32)
    splits, threads = (3, 64) if keys < 500 else (13, 32)
    quads = -(-shape.heads // shape.kv_heads // 4)
    step = cache.step(range(keys - 1, keys))
    partial = await runner.run(
        kernel(
            "attention_split",
            snippets={**cache.reader, **sink_words(sinks)},
            HEADS=shape.heads,
            QUADS=quads,
            SPLITS=splits,
            SCALE=shape.head_dim**-0.5,
            LANES=threads,
            THREADS=threads,
            WINDOW=window,
            SOFTCAP=softcap,
            **cache.words,
        ),
        {
            "q": q,
            "step": step,
            "kv": cache.pages(*made),
            "partial": np.full((shape.heads, splits, shape.head_dim + 4), np.nan, np.float32),
            **({} if sinks is None else {"sinks": sinks}),
        },
        (splits, shape.kv_heads * quads, 1),
    )
    expected = attention(q, k, v, keys - 1, window, softcap, sinks)
    words = {
        "HEADS": shape.heads,
        "HEAD_DIM": shape.head_dim,
        "SPLITS": splits,
        "KEYS": threads,
        "WINDOW": window,
        "STEP_ROWS": ROWS_AT,
    }
    given = {"partial": partial["partial"], "step": step}
    parts = 1 + keys % 4
    combine = {"PARTS": parts, "THREADS": 64 * parts, **words}
    out = await runner.run(
        kernel("attention_combine", Y_STRIDE=shape.heads * shape.head_dim + 8, **combine),
        {**given, "y": wide(q)},
        (shape.heads, 1),
    )
    np.testing.assert_allclose(narrow(out["y"], q), expected, rtol=0, atol=3e-6)

    n, width = 21, shape.heads * shape.head_dim
    weight, arrays = laid_out("f32", rng.standard_normal((n, width), np.float32))
    out = await runner.run(
        kernel(
            "gemv",
            snippets={
                "quant": "quant/f32",
                "epilogue": "epilogue/residual",
                "finish": "linear/finish",
                "source": "source/splits",
            },
            UNITS=weight.shape[1] // 8,
            K=width,
            N=n,
            SLICE=n,
            **{"LANES": 16, "GROUPS": 2, "QUADS": 1, "UNROLL": 2, "THREADS": 32},
            Y_STRIDE=n,
            RESIDUAL_SCALE=0.5,
            **words,
        ),
        {**given, **arrays, "vectors": np.zeros(4, np.float32), "y": np.ones(n, np.float32)},
        (-(-n // 8),),
    )
    product = 1 + 0.5 * weight[:, :width] @ expected.ravel()
    np.testing.assert_allclose(out["y"], product, rtol=0, atol=3e-6 * width)


@pytest.mark.parametrize(
    ("shape", "kv", "first", "rows"),
    of_native(
        [(*cache, *rows) for rows in PREFILLS for cache in CACHES],
        [(*cache, *PREFILLS[-1]) for cache in IN_CHROMIUM],
    ),
    ids=str,
)
async def test_prefill_attention(
    runner: Runner, shape: Shape, kv: str, first: int, rows: int
) -> None:
    rng = np.random.default_rng(first + rows)
    cache = Cache(shape, kv, rng)
    n = first + rows
    window, softcap = (33, 0.8) if first else (0, 0.0)
    sinks = sinks_of(shape) if rows > 1 else None
    made = rng.standard_normal((2, n, shape.kv_heads, shape.head_dim)).astype(np.float32)
    k, v = (cache.kept(x) for x in made)
    q = rng.standard_normal((rows, shape.heads, shape.head_dim)).astype(np.float32)
    queries = 16
    shares = 1 if first else 2
    while shares * shape.head_dim // 8 < 8:
        shares *= 2
    lanes = shape.head_dim // 8 * shares
    out = await runner.run(
        kernel(
            "attention_prefill",
            snippets={**cache.reader, **sink_words(sinks)},
            HEADS=shape.heads,
            QUERIES=queries,
            SCALE=shape.head_dim**-0.5,
            Y_STRIDE=shape.heads * shape.head_dim + 8,
            SHARES=shares,
            LANES=lanes,
            THREADS=queries // 4 * lanes,
            WINDOW=window,
            SOFTCAP=softcap,
            **cache.words,
        ),
        {
            "q": q,
            "step": cache.step(range(first, n)),
            "kv": cache.pages(*made),
            "y": wide(q),
            **({} if sinks is None else {"sinks": sinks}),
        },
        (-(-rows // queries), shape.heads),
    )
    expected = attention(q, k, v, first, window, softcap, sinks)
    np.testing.assert_allclose(narrow(out["y"], q), expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    ("name", "shape", "kv"),
    of_native(
        [
            *(("gemv", *cache) for cache in PLAIN),
            ("gemv", SHAPES[2], "q8"),
            ("gemm", SHAPES[2], "f16"),
            ("gemm", SHAPES[4], "f32"),
            ("gemm", SHAPES[2], "q8"),
        ],
        [*(("gemv", *cache) for cache in IN_CHROMIUM), ("gemm", SHAPES[2], "f16")],
    ),
    ids=str,
)
async def test_rope_and_append(runner: Runner, name: str, shape: Shape, kv: str) -> None:
    """8-bit keys and values are left in rows, for kv_quantize."""
    rng = np.random.default_rng(shape.head_dim)
    cache = Cache(shape, kv, rng)
    nothing = np.zeros((2, 0, shape.kv_heads, shape.head_dim), np.float32)
    if kv == "q8":
        writer = {"append": "kv/write_rows"}
        kv_out = np.zeros((32, 2, shape.kv_heads, shape.head_dim), np.float32)
    else:
        writer = {"append": "kv/write_pages", "kv_write": f"kv/write_{kv}"}
        kv_out = cache.pages(*nothing)
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
                **({"source": "source/row"} if name == "gemv" else {}),
                **writer,
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
            "kv": kv_out,
            **arrays,
        },
        groups,
    )
    qkv = (x[:rows] @ weight.T).reshape(rows, -1, d)
    keys, values = np.zeros((2, rows, shape.kv_heads, d))
    for m in range(rows):
        q, keys[m], values[m] = np.split(qkv[m], (shape.heads, shape.heads + shape.kv_heads))
        q, keys[m] = (rotated(x, first + m, shape.rotary) for x in (q, keys[m]))
        np.testing.assert_allclose(out["q_out"][m], q, rtol=0, atol=3e-5)
    assert not out["q_out"][rows:].any(), "rows past the chunk's end were written"
    if kv == "q8":
        expected = np.zeros_like(kv_out)
        expected[:rows] = np.stack([keys, values], 1)
    else:
        expected = cache.pages(keys, values, first).astype(np.float32)
    got = out["kv"].astype(np.float32)
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.02 if kv == "f16" else 3e-5)


@pytest.mark.parametrize("kind", ["head", "whole", "own"])
async def test_head_norm(runner: Runner, kind: str) -> None:
    """q and k normed, rotated and stored; v stored."""
    rng = np.random.default_rng(len(kind))
    whole, own = kind == "whole", kind == "own"
    shape, first, rows, eps, growth = SHAPES[2], 29, 5, 1e-5, 0.5
    cache = Cache(shape, "f32", rng)
    heads, kv_heads, d = shape.heads, shape.kv_heads, shape.head_dim
    x = rng.standard_normal((8, heads + 2 * kv_heads + 1, d)).astype(np.float32) * 3
    weight = rng.standard_normal((2 if kind == "head" else heads + kv_heads, d)).astype(np.float32)
    out = await runner.run(
        kernel(
            "head_norm",
            snippets={
                "epilogue": "epilogue/rope_append",
                "pages": "kv/pages",
                "append": "kv/write_pages",
                "kv_write": "kv/write_f32",
            },
            EPS=eps,
            WHOLE=whole,
            OWN=own,
            X_STRIDE=(heads + 2 * kv_heads + 1) * d,
            LANES=32,
            THREADS=32,
            HEADS=heads,
            ROTARY=shape.rotary,
            FINE=FINE,
            GROWTH=growth,
            ORIGINAL=16,
            **cache.words,
        ),
        {
            "x": x,
            "weight": weight,
            "step": cache.step(range(first, first + rows)),
            "rope": rope_table(shape.rotary),
            "q_out": np.zeros((8, heads, d), np.float32),
            "kv": cache.pages(x[:0, :kv_heads], x[:0, :kv_heads]),
        },
        (3 if whole else heads + 2 * kv_heads, 8),
    )
    parts = (heads, heads + kv_heads, heads + 2 * kv_heads)
    q, k, v, _ = np.split(x[:rows].astype(np.float64), parts, 1)
    axes = (1, 2) if whole else 2
    of_q, of_k = weight if kind == "head" else (weight[:heads], weight[heads:])
    if own:
        q, k = (part - part.mean(2, keepdims=True) for part in (q, k))
    q = q / np.sqrt((q**2).mean(axes, keepdims=True) + eps) * of_q
    k = k / np.sqrt((k**2).mean(axes, keepdims=True) + eps) * of_k
    for m in range(rows):
        q[m], k[m] = (rotated(part[m], first + m, shape.rotary) for part in (q, k))
        q[m] *= 1 + growth * np.log(1 + (first + m) // 16)
    np.testing.assert_allclose(out["q_out"][:rows], q, rtol=0, atol=3e-5)
    assert not out["q_out"][rows:].any(), "rows past the chunk's end were written"
    np.testing.assert_allclose(out["kv"], cache.pages(k, v, first), rtol=0, atol=3e-5)


@pytest.mark.parametrize("shape", [SHAPES[0], *Q8_SHAPES, Shape(5, 5, 80, 80)], ids=str)
@pytest.mark.parametrize(("first", "rows"), [(301, 1), (29, 9)])
async def test_quantized_rows(runner: Runner, shape: Shape, first: int, rows: int) -> None:
    """Blocks may span heads, and a position's last one may be short."""
    rng = np.random.default_rng(shape.head_dim)
    cache = Cache(shape, "q8", rng)
    width = shape.kv_heads * shape.head_dim
    made = rng.standard_normal((rows, 2, width)).astype(np.float32)
    # A block of zeros, one too small for its scale, and one too large.
    made[0, 0, :32] = 0
    made[0, 1, :32] *= 1e-9
    made[-1, 0, -3:] = (-1e6, np.inf, 300)
    staged = np.full((32, 2, width), np.nan, np.float32)
    staged[:rows] = made
    keys, values = made.swapaxes(0, 1).reshape(2, rows, shape.kv_heads, shape.head_dim)
    out = await runner.run(
        kernel("kv_quantize", snippets={"pages": "kv/pages", "q8": "kv/q8"}, **cache.words),
        {
            "rows": staged,
            "step": cache.step(range(first, first + rows)),
            "kv": cache.pages(keys[:0], values[:0]),
        },
        (-(-width // 256), len(staged)),
    )
    expected = cache.pages(keys, values, first)
    n_codes = 2 * width * PAGE
    off = np.abs(out["kv"][:, :n_codes].astype(int) - expected[:, :n_codes])
    # A GPU may divide with an error of 2.5 ULP: ties differ, and blocks whose scale does.
    assert off.max() <= 1 and (off > 0).sum() <= 0.02 * made.size, "not the nearest steps"
    scales = [
        np.ascontiguousarray(pool[:, n_codes:]).view(np.float16).astype(np.float32)
        for pool in (out["kv"], expected)
    ]
    np.testing.assert_allclose(*scales, rtol=1e-3)


@pytest.mark.parametrize(
    ("shape", "kv"),
    of_native([(SHAPES[2], "f32"), (SHAPES[3], "f16")], [(SHAPES[2], "f32")]),
    ids=str,
)
async def test_attention_weights(runner: Runner, shape: Shape, kv: str) -> None:
    """The softmax itself, of a few rows whose window does not reach back to the first key."""
    first, rows, window, softcap = 70, 5, 50, 0.8
    length = first + rows
    rng = np.random.default_rng(3)
    cache, sinks = Cache(shape, kv, rng), sinks_of(shape)
    made = rng.standard_normal((2, length, shape.kv_heads, shape.head_dim)).astype(np.float32)
    k, v = (cache.kept(x) for x in made)
    q = rng.standard_normal((rows, shape.heads, shape.head_dim)).astype(np.float32)
    out = await runner.run(
        kernel(
            "attention_weights",
            snippets={**cache.reader, **sink_words(sinks)},
            **cache.words,
            **{"HEADS": shape.heads, "ROWS": 8, "KEYS": length, "SCALE": shape.head_dim**-0.5},
            **{"WINDOW": window, "SOFTCAP": softcap, "LANES": 64, "THREADS": 64},
        ),
        {
            "q": np.concatenate([q, q[:3]]),
            "step": cache.step(range(first, length)),
            "kv": cache.pages(k, v),
            "weights": np.full((shape.heads, 8, length), 7, np.float32),
            "sinks": sinks,
        },
        (shape.heads, 8),
    )
    # With the unit vectors for values, what comes out of attention is its weights.
    ones = np.repeat(np.eye(length)[:, None], shape.kv_heads, axis=1)
    expected = np.zeros((rows, shape.heads, length))
    for key in range(0, length, shape.head_dim):
        part = np.zeros((length, shape.kv_heads, shape.head_dim))
        width = min(shape.head_dim, length - key)
        part[..., :width] = ones[..., key : key + width]
        found = attention(q, k, part, first, window, softcap, sinks)
        expected[..., key : key + width] = found[..., :width]
    weights = out["weights"].swapaxes(0, 1)
    np.testing.assert_allclose(weights[:rows], expected, rtol=1e-4, atol=1e-6)
    assert (weights[rows:] == 7).all(), "rows past the last one"


async def test_steer(runner: Runner, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 96)).astype(np.float32)
    vector = rng.standard_normal(96).astype(np.float32)
    out = await runner.run(kernel("steer", BLOCKS=3), {"vector": vector, "x": x}, (1, 3))
    np.testing.assert_array_equal(out["x"], x + vector)


@pytest.mark.parametrize("kv", of_native(["f16", "f32"], ["f16"]))
async def test_turned_keys(runner: Runner, kv: str) -> None:
    """Keys behind the first page stand where they would have been put so many positions before."""
    shape, back, length = SHAPES[2], 64, 150
    rng = np.random.default_rng(len(kv))
    cache = Cache(shape, kv, rng)
    keys, values = rng.standard_normal((2, length, shape.kv_heads, shape.head_dim))
    put = np.stack([rotated(key, back + i, shape.rotary) for i, key in enumerate(keys)])
    angles = back * THETA ** (-np.arange(0, shape.rotary, 2) / shape.rotary)
    step = cache.step(range(length - 1, length))
    step[2:4] = 1, -(-length // PAGE)
    pages = cache.pages(put, values)
    pairs = shape.rotary // 2 * shape.kv_heads
    out = await runner.run(
        kernel(
            "kv_turn",
            snippets={"pages": "kv/pages"},
            ROTARY=shape.rotary,
            FIRST=1,
            WIDE=kv == "f32",
            **cache.words,
        ),
        {
            "step": step,
            "turn": np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32),
            "kv": pages,
        },
        (-(-PAGE * pairs // 64), MAX_PAGES - 1),
    )
    expected = [rotated(key, i, shape.rotary) for i, key in enumerate(keys)]
    expected = np.concatenate([put[:PAGE], np.stack(expected)[PAGE:]])
    found = out["kv"].astype(np.float32)
    there = cache.pages(expected, values).astype(np.float32)
    np.testing.assert_allclose(found, there, rtol=0, atol=0.004 if kv == "f16" else 2e-5)
    untouched = cache.pages(put[:PAGE], values[:PAGE])[cache.page_table[0]]
    np.testing.assert_array_equal(out["kv"][cache.page_table[0]], untouched)
