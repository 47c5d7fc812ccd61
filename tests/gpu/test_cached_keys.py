"""What becomes of queries, keys and values on their way to the paged cache, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from formats import laid_out
from paged_cache import (
    FINE,
    IN_CHROMIUM,
    MAX_PAGES,
    PAGE,
    PLAIN,
    Q8_SHAPES,
    SHAPES,
    THETA,
    Cache,
    Shape,
    rope_table,
    rotated,
)
from runners import ROW, Runner, of_native

from webllm_py.gpu.kernels import kernel


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
                **(ROW if name == "gemv" else {}),
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
    clip = 1.5 if whole else 0.0
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
            CLIP=clip,
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
    if clip:
        q, k, v = (part.clip(-clip, clip) for part in (q, k, v))
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
