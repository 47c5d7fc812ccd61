"""Adapters' first half made by the dispatch before, in parts, and added up: against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from adapted import ADAPTERS, SLOTS, Beside, Segment, added, segments_of, with_scales
from formats import laid_out
from paged_cache import ROWS_AT, SHAPES, Cache, Shape, attention
from runners import ROW, Runner

from webllm_py.gpu.kernels import kernel

SLOT = 1


def scales_of(rng: np.random.Generator) -> np.ndarray:
    """(slots, adapters); the slot does without one of them."""
    scales = rng.standard_normal((SLOTS, ADAPTERS)).astype(np.float32)
    scales[SLOT, 1] = 0
    return scales


def scaled_a(segments: list[Segment], scales: np.ndarray) -> np.ndarray:
    """scale * A of all of them, (ranks in whole quads, columns)."""
    parts = [np.pad(scales[SLOT, s.adapter] * s.a, ((0, -len(s.a) % 4), (0, 0))) for s in segments]
    return np.concatenate(parts)


def padded(values: np.ndarray) -> np.ndarray:
    return np.pad(values, (0, -values.size % 32)).astype(np.float32)


def ahead_constants(beside: Beside, columns: int, scales_at: int) -> dict[str, int]:
    return {
        "AHEAD_AT": beside.at,
        "AHEAD_QUADS": beside.quads,
        "AHEAD_UNITS": -(-columns // 32) * 4,
        "STEP_SLOT": ROWS_AT + 2,
        "LORA_SCALES": scales_at,
        "ADAPTERS": ADAPTERS,
    }


# Rows of the weight, what becomes of them, the GEMV's shape: few threads for the ranks, or many.
GEMVS = [(70, "residual", 8, 4, 2), (90, "glu", 16, 2, 1)]


@pytest.mark.parametrize(("n", "epilogue", "lanes", "groups", "quads"), GEMVS)
async def test_made_by_a_gemv(
    runner: Runner,
    n: int,
    epilogue: str,
    lanes: int,
    groups: int,
    quads: int,
    rng: np.random.Generator,
) -> None:
    """Each workgroup's part is of the columns that it makes, normed or not; the rest stays."""
    _, arrays = laid_out("q4_0", rng.standard_normal((n, 64), np.float32))
    wide = n // (2 if epilogue == "glu" else 1)
    norm = rng.standard_normal(wide).astype(np.float32)
    segments = segments_of(rng, 20, wide)
    columns = padded(norm).size
    before = padded(norm) if epilogue == "residual" else np.zeros(0)
    parts = -(-n // (4 * quads * groups))
    beside = Beside(segments, before, columns, rows=parts)
    beside.low(beside.words)[:] = 7
    beside.use(segments[:3])
    used = 4 * sum(segment.quads for segment in segments[:3])
    scales, step = scales_of(rng), np.zeros(11, np.uint32)
    step[[0, ROWS_AT + 2]] = 1, SLOT
    threads, each = lanes * groups, groups * quads * (4 if epilogue == "residual" else 2)
    words = {"activation": "activation/silu"} if epilogue == "glu" else {}
    made = kernel(
        "gemv",
        snippets={
            "quant": "quant/q4_0",
            "epilogue": f"epilogue/{epilogue}",
            "finish": "linear/finish",
            **ROW,
            "ahead": "lora/ahead_row",
            "step": "lora/step_own",
            **words,
        },
        AHEAD_WIDE=each // 4,
        AHEAD_NORM=epilogue == "residual",
        **ahead_constants(beside, wide, scales_at=11),
        **{"LANES": lanes, "GROUPS": groups, "QUADS": quads, "UNROLL": 1, "THREADS": threads},
        **{"UNITS": 8, "K": 64, "N": n, "SLICE": n, "Y_STRIDE": columns},
    )
    y = padded(rng.standard_normal(wide))
    arrays |= {"x": rng.standard_normal(64).astype(np.float32), "y": y, "next": beside.words}
    arrays |= {"vectors": np.zeros(4, np.float32), "step": with_scales(step, scales)}
    out = await runner.run(made, arrays, (parts,))
    assert (out["y"][:wide] != y[:wide]).all()
    x = out["y"][:wide] * norm if epilogue == "residual" else out["y"][:wide]
    terms = np.pad(scaled_a(segments, scales)[:used] * x, ((0, 0), (0, -wide % each)))
    expected = terms.reshape(used, -1, each).sum(2).T
    after = out["next"].copy()
    found = beside.low(after)
    np.testing.assert_allclose(found[: len(expected), :used], expected, rtol=1e-5, atol=1e-3)
    assert not found[:, used:].any()
    found[:] = beside.low(beside.words)
    np.testing.assert_array_equal(after, beside.words)


async def test_made_where_splits_come_together(runner: Runner, rng: np.random.Generator) -> None:
    """A head's part, by more threads than share a rank."""
    heads, head_dim, splits, threads = 3, 40, 2, 128
    segments = segments_of(rng, 20, heads * head_dim)
    beside = Beside(segments, np.zeros(0), 128, rows=heads)
    scales, step = scales_of(rng), np.zeros(11, np.uint32)
    step[[0, ROWS_AT + 1, ROWS_AT + 2]] = 1, 50, SLOT
    made = kernel(
        "attention_combine",
        snippets={"ahead": "lora/ahead_row", "step": "lora/step_there"},
        **{"HEADS": heads, "HEAD_DIM": head_dim, "SPLITS": splits, "KEYS": 32, "WINDOW": 0},
        **{"STEP_ROWS": ROWS_AT, "PARTS": 2, "THREADS": threads, "Y_STRIDE": 128},
        AHEAD_WIDE=head_dim // 4,
        **ahead_constants(beside, heads * head_dim, scales_at=11),
    )
    partial = np.abs(rng.standard_normal((heads, splits, head_dim + 4))).astype(np.float32)
    arrays = {"partial": partial, "step": with_scales(step, scales), "next": beside.words}
    out = await runner.run(made, {**arrays, "y": np.zeros(128, np.float32)}, (heads, 1))
    terms = scaled_a(segments, scales) * out["y"][: heads * head_dim]
    expected = terms.reshape(len(terms), heads, head_dim).sum(2).T
    np.testing.assert_allclose(beside.low(out["next"]), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("shape", "keys"), [(SHAPES[3], 100), (SHAPES[2], 40)], ids=str)
async def test_made_by_splits_of_attention(
    runner: Runner, shape: Shape, keys: int, rng: np.random.Generator
) -> None:
    """Parts of the splits that have keys, weighted where the next GEMV puts the splits together."""
    cache, splits, n, width = Cache(shape, "f16", rng), 5, 30, shape.heads * shape.head_dim
    made = rng.standard_normal((2, keys, shape.kv_heads, shape.head_dim)).astype(np.float32)
    q = rng.standard_normal((1, shape.heads, shape.head_dim)).astype(np.float32)
    segments = segments_of(rng, n, width)
    columns = -(-width // 32) * 32
    beside = Beside(segments, np.zeros(0), columns, rows=shape.heads * splits)
    beside.low(beside.words)[:] = np.nan
    step, scales = cache.step(range(keys - 1, keys)), scales_of(rng)
    quads = -(-shape.heads // shape.kv_heads // 4)
    common = {"HEADS": shape.heads, "SPLITS": splits, "WINDOW": 0}
    split = kernel(
        "attention_split",
        snippets={
            **cache.reader,
            "sinks": "attention/no_sinks",
            "ahead": "lora/ahead_heads",
            "step": "lora/step_there",
        },
        **{"QUADS": quads, "SCALE": shape.head_dim**-0.5, "LANES": 32, "THREADS": 32},
        SOFTCAP=0,
        **common,
        **cache.words,
        **ahead_constants(beside, width, scales_at=step.size),
    )
    given = {"step": with_scales(step, scales)}
    partial = np.full((shape.heads, splits, shape.head_dim + 4), np.nan, np.float32)
    out = await runner.run(
        split,
        {"q": q, "kv": cache.pages(*made), "partial": partial, "next": beside.words, **given},
        (splits, shape.kv_heads * quads, 1),
    )
    weight, arrays = laid_out("f32", rng.standard_normal((n, width), np.float32))
    gemv = kernel(
        "gemv",
        snippets={
            "quant": "quant/f32",
            "epilogue": "epilogue/residual",
            "finish": "linear/finish_lora",
            "source": "source/splits",
            "low": "lora/parts",
            "ahead": "lora/not_ahead",
        },
        **{"LANES": 32, "GROUPS": 2, "QUADS": 1, "UNROLL": 1, "THREADS": 64},
        **{"UNITS": weight.shape[1] // 8, "K": width, "N": n, "SLICE": n, "Y_STRIDE": n},
        **{"HEAD_DIM": shape.head_dim, "KEYS": 32, "STEP_ROWS": ROWS_AT},
        **common,
        LORA_AT=beside.at,
        LORA_QUADS=beside.quads,
        LORA_PARTS=shape.heads * splits,
    )
    given |= {"partial": out["partial"], "vectors": out["next"], "y": np.ones(n, np.float32)}
    out = await runner.run(gemv, {**given, **arrays}, (-(-n // 8),))
    attended = attention(q, *(cache.kept(x) for x in made), keys - 1).ravel()
    low = scaled_a(segments, scales) @ attended
    expected = 1 + weight[:, :width] @ attended + added(segments, low[None], n)[0]
    np.testing.assert_allclose(out["y"], expected, rtol=1e-4, atol=width * 1e-5)


PARTS = [("q4_0", 9, 8, 2, 2), ("f32", 77, 32, 1, 1)]


@pytest.mark.parametrize(("fmt", "parts", "lanes", "groups", "quads"), PARTS)
async def test_added_up(
    runner: Runner,
    fmt: str,
    parts: int,
    lanes: int,
    groups: int,
    quads: int,
    rng: np.random.Generator,
) -> None:
    """B times the sum of all parts, of the adapters in use, behind the norm."""
    n, k = 30, 172
    weight, arrays = laid_out(fmt, rng.standard_normal((n, k), np.float32))
    columns = weight.shape[1]
    x = np.pad(rng.standard_normal(k), (0, columns - k)).astype(np.float32)
    norm = padded(rng.standard_normal(k))
    segments = segments_of(rng, n, k)
    beside = Beside(segments, norm, columns, rows=parts + 2)
    low = rng.standard_normal((parts + 2, 4 * beside.quads)).astype(np.float32)
    beside.low(beside.words)[:] = low
    used = segments[: 2 if quads > 1 else 4]
    beside.use(used)
    made = kernel(
        "gemv",
        snippets={
            "quant": f"quant/{fmt}",
            "epilogue": "epilogue/store",
            "finish": "linear/finish_lora",
            **ROW,
            "low": "lora/parts",
        },
        **{"LANES": lanes, "GROUPS": groups, "QUADS": quads, "UNROLL": 2},
        **{"UNITS": columns // 8, "N": n, "SLICE": n, "Y_STRIDE": n, "K": k, "NORM": True},
        **{"THREADS": lanes * groups, "EPS": 1e-5},
        LORA_AT=beside.at,
        LORA_QUADS=beside.quads,
        LORA_PARTS=parts,
    )
    arrays |= {"x": x, "vectors": beside.words, "y": np.zeros(n, np.float32)}
    out = await runner.run(made, arrays, (-(-n // (4 * groups * quads)),))
    low = low[:parts].sum(0, keepdims=True)
    expected = weight @ (x * norm) + added(used, low, n)[0]
    expected /= np.sqrt((x**2).sum() / k + 1e-5)
    np.testing.assert_allclose(out["y"], expected, rtol=1e-5, atol=k * 5e-6)
