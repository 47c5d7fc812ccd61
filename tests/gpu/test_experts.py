"""Mixtures of experts: who a row goes to, and what they answer together."""

from __future__ import annotations

import numpy as np
import pytest
from eight_bits import quantized
from formats import laid_out
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel

EXPERTS, TOP = 70, 3


def routed(scores: np.ndarray, normalized: bool, top: int = TOP) -> tuple[np.ndarray, np.ndarray]:
    """The best experts of each row, of equal ones the first, and their weights."""
    chosen = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    parts = np.exp(scores.astype(np.float64) - np.nanmax(scores, 1, keepdims=True))
    found = np.take_along_axis(parts, chosen, 1)
    return chosen, found / (found if normalized else parts).sum(1, keepdims=True)


async def route(
    runner: Runner,
    scores: np.ndarray,
    scoring: str = "softmax",
    top: int = TOP,
    threads: int = 64,
    *,
    shared: bool = False,
    bias: np.ndarray | None = None,
    **constants: float,
) -> tuple[np.ndarray, np.ndarray]:
    """What the kernel finds of each row: experts, and their weights."""
    rows, width = scores.shape
    out = await runner.run(
        kernel(
            "route",
            snippets={"scoring": f"route/{scoring}"},
            LANES=threads,
            THREADS=threads,
            SCORES=width,
            TOP=top,
            SHARED=shared,
            **constants,
        ),
        {
            "scores": scores,
            "route": np.zeros((rows, top + shared, 2), np.uint32),
            **({} if bias is None else {"bias": bias}),
        },
        (1, rows),
    )
    found = out["route"]
    return found[:, :, 0], np.ascontiguousarray(found[:, :, 1]).view(np.float32)


@pytest.mark.parametrize(
    ("normalized", "scored", "shared", "threads"),
    [(True, False, False, 128), (False, True, False, 64), (True, True, True, 32)],
)
async def test_route(
    runner: Runner,
    normalized: bool,
    scored: bool,
    shared: bool,
    threads: int,
    rng: np.random.Generator,
) -> None:
    """Where something else has a score, it is an expert or is not. What is no number is none of
    the best."""
    scores = rng.standard_normal((4, EXPERTS + scored)).astype(np.float32) * 3
    scores[1, 5:] = scores[1, 4]  # equal ones, some in the same thread's hands
    if normalized:
        scores[2, 7] = np.nan
    found = await route(
        runner, scores, threads=threads, EXPERTS=EXPERTS, NORMALIZED=normalized, shared=shared
    )
    chosen, weights = routed(scores[:, :EXPERTS], normalized)
    if shared:
        chosen = np.pad(chosen, ((0, 0), (0, 1)), constant_values=EXPERTS)
        weights = np.concatenate([weights, 1 / (1 + np.exp(-scores[:, EXPERTS:]))], 1)
    np.testing.assert_array_equal(found[0], chosen)
    np.testing.assert_allclose(found[1], weights, rtol=1e-5)


@pytest.mark.parametrize("experts", [1, 16])
@pytest.mark.parametrize("normalized", [True, False])
async def test_route_to_all_there_are(
    runner: Runner, experts: int, normalized: bool, rng: np.random.Generator
) -> None:
    scores = rng.standard_normal((3, experts)).astype(np.float32)
    found = await route(
        runner, scores, top=experts, threads=32, EXPERTS=experts, NORMALIZED=normalized
    )
    chosen, weights = routed(scores, normalized, experts)
    np.testing.assert_array_equal(found[0], chosen)
    np.testing.assert_allclose(found[1], weights, rtol=1e-5)


@pytest.mark.parametrize(("normalized", "biased"), [(True, True), (False, False)])
async def test_route_by_sigmoids(
    runner: Runner, normalized: bool, biased: bool, rng: np.random.Generator
) -> None:
    """A bias has a say in which are the best, and none in how much they count."""
    scores = rng.standard_normal((4, EXPERTS)).astype(np.float32)
    scores[1, 5:] = scores[1, 4]
    bias = rng.standard_normal(EXPERTS).astype(np.float32)
    constants = {"EXPERTS": EXPERTS, "NORMALIZED": normalized, "SCALE": 1.5, "BIASED": biased}
    found = await route(runner, scores, "sigmoid", bias=bias, **constants)
    parts = 1 / (1 + np.exp(-scores.astype(np.float64)))
    chosen = np.argsort(-(parts + bias if biased else parts), axis=1, kind="stable")[:, :TOP]
    weights = 1.5 * np.take_along_axis(parts, chosen, 1)
    if normalized:
        weights /= weights.sum(1, keepdims=True) / 1.5
    np.testing.assert_array_equal(found[0], chosen)
    np.testing.assert_allclose(found[1], weights, rtol=1e-5)


# Format of the weight, columns, units that are rounded at a time (0: none), whether rows are pairs.
GEMVS = [
    ("f32", 64, 0, True),
    ("f32", 64, 0, False),
    ("q4_0", 160, 8, True),
    ("q8_0", 96, 32, False),
    ("q8_0", 160, 12, True),
    ("q4_0", 32, 4, False),
]


@pytest.mark.parametrize(("fmt", "k", "tile", "together"), of_native(GEMVS, GEMVS[:4]))
async def test_expert_gemv(
    runner: Runner, fmt: str, k: int, tile: int, together: bool, rng: np.random.Generator
) -> None:
    """From two slices, the first of which holds two experts."""
    experts, n, rows = 5, 12, 3
    weight = rng.standard_normal((experts, n, k)).astype(np.float32)
    bias = rng.standard_normal((experts, n)).astype(np.float32)
    x = rng.standard_normal((rows * TOP if together else rows, k)).astype(np.float32)
    chosen = np.array([[0, 3, 2], [1, 0, 4], [4, 2, 3]], np.uint32)
    weights = rng.random((rows, TOP)).astype(np.float32)
    route = np.stack([chosen, weights.view(np.uint32)], 2)
    start = np.zeros((rows if together else rows * TOP, n), np.float32)
    y = start
    kind = {"quant": f"dot4/{fmt}", "product": "experts/rounded"}
    if not tile:
        kind = {"quant": f"quant/{fmt}", "product": "experts/floats"}
    for first, end in ((0, 2), (2, experts)):
        kept, arrays = laid_out(fmt, weight[first:end].reshape(-1, k))
        weight[first:end] = kept.reshape(-1, n, k)
        out = await runner.run(
            kernel(
                "expert_gemv",
                snippets={
                    "epilogue": "epilogue/residual",
                    "finish": "linear/finish",
                    **kind,
                },
                N=experts * n,
                ROW0=first * n,
                SLICE=(end - first) * n,
                UNITS=k // 8,
                EXPERT_ROWS=n,
                TOP=TOP,
                SUM=together,
                BIAS=True,
                Y_STRIDE=n,
                RESIDUAL_SCALE=0.25,
                **({"TILE": tile} if tile else {}),
                **{"LANES": 4, "GROUPS": 2, "THREADS": 8},
            ),
            {"x": x, "vectors": bias.ravel(), "y": y, "route": route, **arrays},
            (2, 1 if together else TOP, rows),
        )
        y = out["y"]
    if tile:
        codes, scales = quantized(x, 8)
        x = codes * np.repeat(scales, 8, axis=1)
    expected = np.zeros((rows, TOP, n))
    for m, i in np.ndindex(rows, TOP):
        row = x[m * TOP + i if together else m]
        expected[m, i] = weight[chosen[m, i]] @ row + bias[chosen[m, i]]
    if together:
        expected = (expected * weights[:, :, None]).sum(1)
    np.testing.assert_allclose(y, 0.25 * expected.reshape(y.shape), rtol=0, atol=1e-4)
