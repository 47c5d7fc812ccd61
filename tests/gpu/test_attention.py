"""Attention over the paged cache against numpy: split by keys, of prompts, and its weights."""

from __future__ import annotations

import numpy as np
import pytest
from formats import laid_out
from paged_cache import (
    CACHES,
    IN_CHROMIUM,
    PREFILLS,
    ROWS_AT,
    SHAPES,
    Cache,
    Shape,
    attention,
    narrow,
    sink_words,
    sinks_of,
    wide,
)
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel


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
            snippets={**cache.reader, **sink_words(sinks), "ahead": "lora/not_ahead_heads"},
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
        kernel(
            "attention_combine",
            snippets={"ahead": "lora/not_ahead"},
            Y_STRIDE=shape.heads * shape.head_dim + 8,
            **combine,
        ),
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
                "low": "lora/not_parts",
                "ahead": "lora/not_ahead",
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


# Images that end with a tile of queries and begin within one, reach past a page's end, are wider
# than the window, and end with the chunk.
IMAGES = (70, 61, ((2, 16), (17, 55), (57, 61)))


@pytest.mark.parametrize(
    ("shape", "kv", "first", "rows", "spans"),
    of_native(
        [
            *((*cache, *rows, ()) for rows in PREFILLS for cache in CACHES),
            *((*cache, *IMAGES) for cache in (IN_CHROMIUM[0], IN_CHROMIUM[3])),
            (SHAPES[2], "f16", 0, 37, ((0, 37),)),
        ],
        [
            *((*cache, *PREFILLS[-1], ()) for cache in IN_CHROMIUM),
            (*IN_CHROMIUM[3], *IMAGES),
        ],
    ),
    ids=str,
)
async def test_prefill_attention(
    runner: Runner,
    shape: Shape,
    kv: str,
    first: int,
    rows: int,
    spans: tuple[tuple[int, int], ...],
) -> None:
    """``spans``: rows that are images, each of which sees all of its own."""
    ahead = [0] * rows if spans else None
    for start, end in spans:
        ahead[start:end] = range(end - start - 1, -1, -1)
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
            snippets={
                **cache.reader,
                **sink_words(sinks),
                "reach": "attention/images" if spans else "attention/causal",
            },
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
            "step": cache.step(range(first, n), ahead),
            "kv": cache.pages(*made),
            "y": wide(q),
            **({} if sinks is None else {"sinks": sinks}),
        },
        (-(-rows // queries), shape.heads),
    )
    expected = attention(q, k, v, first, window, softcap, sinks, ahead)
    np.testing.assert_allclose(narrow(out["y"], q), expected, rtol=0, atol=3e-6)


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
