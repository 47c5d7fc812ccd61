"""gemv, gemm, embed and norm against numpy, for every weight format and epilogue."""

from __future__ import annotations

import math

import numpy as np
import pytest
from formats import LAID_OUT, laid_out
from linear_kernels import padded_rows, snippets, step_words
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel

GEMV_SIZES = [(5, 32), (67, 172), (130, 896)]


@pytest.mark.parametrize(
    ("fmt", "n", "k"),
    of_native(
        [(fmt, *size) for size in GEMV_SIZES for fmt in LAID_OUT],
        [(fmt, *size) for fmt, size in zip(LAID_OUT, GEMV_SIZES * 2, strict=True)],
    ),
)
async def test_gemv_stores_norm_and_bias(
    runner: Runner, fmt: str, n: int, k: int, rng: np.random.Generator
) -> None:
    weight, arrays = laid_out(fmt, rng.standard_normal((n, k), np.float32))
    x = padded_rows(rng.standard_normal((1, k)) * 3)
    norm = padded_rows(rng.standard_normal((1, k)))
    bias = rng.standard_normal(n).astype(np.float32)
    expected = weight @ (x[0] * norm[0] / np.sqrt((x**2).sum() / k + 1e-5)) + bias
    for lanes, groups, quads, unroll in ((8, 4, 1, 4), (32, 2, 2, 2), (1, 16, 1, 1)):
        scale = 1 / quads
        gemv = kernel(
            "gemv",
            snippets=snippets("gemv", fmt, "store"),
            UNITS=x.shape[1] // 8,
            K=k,
            N=n,
            SLICE=n,
            LANES=lanes,
            GROUPS=groups,
            QUADS=quads,
            UNROLL=unroll,
            THREADS=lanes * groups,
            NORM=True,
            BIAS=True,
            BIAS_AT=x.shape[1] // 4,
            EPS=1e-5,
            Y_STRIDE=n,
            LOGIT_SCALE=scale,
        )
        vectors = np.concatenate([norm[0], bias, np.zeros(-n % 4, np.float32)])
        out = await runner.run(
            gemv,
            {"x": x, "vectors": vectors, "y": np.zeros(n, np.float32), **arrays},
            (-(-n // (4 * quads * groups)),),
        )
        np.testing.assert_allclose(out["y"], scale * expected, rtol=0, atol=2e-6 * k)


@pytest.mark.parametrize(
    ("fmt", "m", "n", "k", "rows", "lanes", "groups"),
    [
        ("f32", 2, 5, 32, 2, 4, 4),
        ("f16", 3, 67, 172, 4, 32, 2),
        ("bf16", 5, 18, 160, 8, 16, 1),
        ("q4_0", 11, 50, 100, 8, 2, 8),
        ("q4_1", 4, 9, 64, 4, 8, 2),
        ("q8_0", 7, 130, 896, 8, 8, 4),
    ],
)
async def test_gemv_rows_stores_norm_and_bias(
    runner: Runner,
    fmt: str,
    m: int,
    n: int,
    k: int,
    rows: int,
    lanes: int,
    groups: int,
    rng: np.random.Generator,
) -> None:
    weight, arrays = laid_out(fmt, rng.standard_normal((n, k), np.float32))
    x = np.zeros((-(-m // rows) * rows, weight.shape[1]), np.float32)
    x[:m, :k] = rng.standard_normal((m, k)) * rng.uniform(0.1, 3, (m, 1))
    norm = padded_rows(rng.standard_normal((1, k)))
    bias = rng.standard_normal(n).astype(np.float32)
    gemv = kernel(
        "gemv_rows",
        snippets=snippets("gemv_rows", fmt, "store"),
        UNITS=x.shape[1] // 8,
        K=k,
        N=n,
        SLICE=n,
        LANES=lanes,
        GROUPS=groups,
        ROWS=rows,
        THREADS=lanes * groups,
        NORM=True,
        BIAS=True,
        BIAS_AT=x.shape[1] // 4,
        EPS=1e-5,
        Y_STRIDE=n,
    )
    out = await runner.run(
        gemv,
        {
            "x": x,
            "vectors": np.concatenate([norm[0], bias, np.zeros(-n % 4, np.float32)]),
            "y": np.zeros((len(x), n), np.float32),
            **arrays,
        },
        (-(-n // (4 * groups)), 1, len(x) // rows),
    )
    normed = x * norm[0] / np.sqrt((x**2).sum(1, keepdims=True) / k + 1e-5)
    expected = normed @ weight.T + bias
    np.testing.assert_allclose(out["y"][:m], expected[:m], rtol=0, atol=3e-6 * k)


# The first two formats, which Chromium has in larger tiles, then each in the smallest.
GEMM_CASES = [
    ("q4_0", 3, 5, 32, 32, 64),
    ("f16", 3, 5, 32, 32, 64),
    *((fmt, 3, 5, 32, 32, 64) for fmt in ("f32", "bf16", "q4_1", "q8_0")),
    *((fmt, 33, 70, 172, 0, 0) for fmt in LAID_OUT),
    ("q4_0", 70, 130, 256, 64, 128),
    ("f16", 9, 150, 64, 32, 128),
]


@pytest.mark.parametrize(
    ("fmt", "m", "n", "k", "tm", "tn"),
    of_native(GEMM_CASES, GEMM_CASES[2:]),
)
async def test_gemm_stores_with_bias(
    runner: Runner, fmt: str, m: int, n: int, k: int, tm: int, tn: int, rng: np.random.Generator
) -> None:
    """The tiled kernel in several tiles, and the direct one (tm = 0)."""
    weight, arrays = laid_out(fmt, rng.standard_normal((n, k), np.float32))
    rows = -(-m // (tm or 4)) * (tm or 4)
    x = np.zeros((rows, weight.shape[1]), np.float32)
    x[:m, :k] = rng.standard_normal((m, k))
    bias = rng.standard_normal(n).astype(np.float32)
    tile = {"TM": tm, "TN": tn, "PREFETCH": tm < 64, "THREADS": tm * tn // 64} if tm else {}
    gemm = kernel(
        "gemm" if tm else "gemm_direct",
        snippets=snippets("gemm", fmt, "store"),
        UNITS=x.shape[1] // 8,
        N=n,
        SLICE=n,
        BIAS=True,
        Y_STRIDE=n,
        **tile,
    )
    vectors = np.concatenate([bias, np.zeros(-n % 4, np.float32)])
    out = await runner.run(
        gemm,
        {"x": x, "vectors": vectors, "y": np.zeros((rows, n), np.float32), **arrays},
        (-(-n // tn), rows // tm) if tm else (-(-n // 64), rows // 4),
    )
    expected = x @ weight.T + bias
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=k * 2e-6)


@pytest.mark.parametrize("name", ["gemv", "gemm"])
async def test_slices_and_residual(runner: Runner, name: str, rng: np.random.Generator) -> None:
    """Two slices of one virtual matrix add to the residual stream, each its own rows."""
    n, k, split = 50, 64, 20
    weight = rng.standard_normal((n, k)).astype(np.float32)
    x = np.zeros((32, k), np.float32)
    x[:] = rng.standard_normal((32, k))
    start = rng.standard_normal((32, n)).astype(np.float32)
    y = start
    for first, last in ((0, split), (split, n)):
        sizes = {"N": n, "ROW0": first, "SLICE": last - first, "UNITS": 8, "Y_STRIDE": n}
        if name == "gemv":
            sizes |= {"K": k, "LANES": 2, "GROUPS": 8, "QUADS": 1, "UNROLL": 4, "THREADS": 16}
            groups: tuple[int, ...] = (-(-(last - first) // 32),)
        else:
            sizes |= {"TM": 32, "TN": 64, "PREFETCH": False, "THREADS": 32}
            groups = (1, 1)
        out = await runner.run(
            kernel(
                name,
                snippets=snippets(name, "f32", "residual"),
                **sizes,
            ),
            {
                "x": x,
                **laid_out("f32", weight[first:last])[1],
                "vectors": np.zeros(4, np.float32),
                "y": y,
            },
            groups,
        )
        y = out["y"]
    expected = start + x @ weight.T
    rows = 1 if name == "gemv" else 32
    np.testing.assert_allclose(y[:rows], expected[:rows], rtol=0, atol=k * 2e-6)
    np.testing.assert_array_equal(y[rows:], start[rows:])


@pytest.mark.parametrize("name", ["gemv", "gemv_rows", "gemm"])
async def test_a_weighted_residual(runner: Runner, name: str, rng: np.random.Generator) -> None:
    """Each row as far as the last of its scores lets it."""
    n, k, rows = 51, 64, {"gemv": 1, "gemv_rows": 4, "gemm": 32}[name]
    weight = rng.standard_normal((n, k)).astype(np.float32)
    x = rng.standard_normal((rows, k)).astype(np.float32)
    scores = rng.standard_normal((rows, 5)).astype(np.float32) * 3
    start = rng.standard_normal((rows, n)).astype(np.float32)
    sizes = {
        "gemv": {"K": k, "LANES": 2, "GROUPS": 8, "QUADS": 1, "UNROLL": 4, "THREADS": 16},
        "gemv_rows": {"K": k, "ROWS": 4, "LANES": 2, "GROUPS": 8, "THREADS": 16},
        "gemm": {"TM": 32, "TN": 64, "PREFETCH": False, "THREADS": 32},
    }[name]
    out = await runner.run(
        kernel(
            name,
            snippets=snippets(name, "f32", "weighted_residual"),
            N=n,
            SLICE=n,
            UNITS=k // 8,
            Y_STRIDE=n,
            SCORES=5,
            RESIDUAL_SCALE=0.5,
            **sizes,
        ),
        {
            "x": x,
            **laid_out("f32", weight)[1],
            "vectors": np.zeros(4, np.float32),
            "scores": scores,
            "y": start,
        },
        (1, 1) if name == "gemm" else (-(-n // 32),),
    )
    expected = start + 0.5 / (1 + np.exp(-scores[:, 4:])) * (x @ weight.T)
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=k * 2e-6)


def activated(activation: str, v: np.ndarray) -> np.ndarray:
    if activation == "silu":
        return v / (1 + np.exp(-v))
    if activation == "gelu":
        return np.vectorize(lambda x: 0.5 * x * (1 + math.erf(x / 2**0.5)))(v)
    return 0.5 * v * (1 + np.tanh((2 / np.pi) ** 0.5 * (v + 0.044715 * v**3)))


@pytest.mark.parametrize(
    ("name", "activation"),
    [("gemv", "silu"), ("gemm", "silu"), ("gemv", "gelu_tanh"), ("gemv", "gelu")],
)
async def test_glu(runner: Runner, name: str, activation: str, rng: np.random.Generator) -> None:
    f, k = 21, 64
    gate, up = rng.standard_normal((2, f, k)).astype(np.float32) / 4
    weight = np.stack([gate, up], 1).reshape(2 * f, k)
    x = rng.standard_normal((32, k)).astype(np.float32) * 3
    sizes = {"N": 2 * f, "SLICE": 2 * f, "UNITS": 8, "Y_STRIDE": f}
    if name == "gemv":
        sizes |= {"K": k, "LANES": 2, "GROUPS": 4, "QUADS": 1, "UNROLL": 2, "THREADS": 8}
        groups: tuple[int, ...] = (-(-2 * f // 16),)
    else:
        sizes |= {"TM": 32, "TN": 64, "PREFETCH": False, "THREADS": 32}
        groups = (1, 1)
    out = await runner.run(
        kernel(
            name,
            snippets=snippets(name, "f32", "glu") | {"activation": f"activation/{activation}"},
            **sizes,
        ),
        {
            "x": x,
            **laid_out("f32", weight)[1],
            "vectors": np.zeros(4, np.float32),
            "y": np.zeros((32, f), np.float32),
        },
        groups,
    )
    g, u = x @ gate.T, x @ up.T
    expected = activated(activation, g) * u
    rows = 1 if name == "gemv" else 32
    np.testing.assert_allclose(out["y"][:rows], expected[:rows], rtol=1e-5, atol=3e-5)


@pytest.mark.parametrize("fmt", LAID_OUT)
async def test_embed_picks_rows_of_each_slice(
    runner: Runner, fmt: str, rng: np.random.Generator
) -> None:
    table, arrays = laid_out(fmt, rng.standard_normal((40, 100), np.float32))
    units = table.shape[1] // 8
    first = 8  # the slice holds rows 8 .. 39
    for name, array in arrays.items():
        arrays[name] = array.reshape(-1)[first * array.size // 40 :]
    tokens = [8, 39, 3, 20]
    out = await runner.run(
        kernel(
            "embed",
            snippets={"quant": f"quant/{fmt}"},
            UNITS=units,
            ROW0=8,
            SLICE=32,
            STEP_ROWS=4,
        ),
        {
            "step": step_words([0, 1, 2, 3], tokens=tokens),
            "y": np.full((6, units * 8), 7, np.float32),
            **arrays,
        },
        (-(-units // 64), 6),
    )
    expected = np.full((6, units * 8), 7, np.float32)
    for row, token in enumerate(tokens):
        if token >= first:
            expected[row] = table[token]
    np.testing.assert_allclose(out["y"], expected, rtol=1e-6, atol=1e-6)


async def test_rmsnorm(runner: Runner, rng: np.random.Generator) -> None:
    k = 172
    x = padded_rows(rng.standard_normal((5, k)) * 10)
    weight = padded_rows(rng.standard_normal((1, k)))
    out = await runner.run(
        kernel("norm", BLOCKS=6, K=k, EPS=1e-6, LANES=64, THREADS=64),
        {"x": x, "weight": weight[0], "y": np.ones_like(x)},
        (1, 5),
    )
    expected = x / np.sqrt((x**2).sum(1, keepdims=True) / k + 1e-6) * weight
    np.testing.assert_allclose(out["y"], expected, rtol=1e-5, atol=1e-6)


async def test_layernorm(runner: Runner, rng: np.random.Generator) -> None:
    """With a bias, and added to what is there. The mean is far from 0."""
    k = 172
    x = padded_rows(rng.standard_normal((5, k)) + 40)
    weight, bias, start = (padded_rows(rng.standard_normal((n, k))) for n in (1, 1, 5))
    flags = {"CENTERED": True, "BIAS": True, "ADD": True}
    out = await runner.run(
        kernel("norm", BLOCKS=6, K=k, EPS=1e-5, LANES=64, THREADS=64, **flags),
        {"x": x, "weight": np.concatenate([weight[0], bias[0]]), "y": start},
        (1, 5),
    )
    mean, var = x[:, :k].mean(1, keepdims=True), x[:, :k].var(1, keepdims=True)
    expected = start + (x - mean) / np.sqrt(var + 1e-5) * weight + bias
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=1e-4)


async def test_pick_row(runner: Runner, rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 96)).astype(np.float32)
    for row in (0, 2):
        step = step_words([0])
        step[1] = row
        out = await runner.run(kernel("pick_row", BLOCKS=3), {"step": step, "x": x}, (1,))
        np.testing.assert_array_equal(out["x"][0], x[row])
        np.testing.assert_array_equal(out["x"][1:], x[1:])


async def test_copy_page(runner: Runner, rng: np.random.Generator) -> None:
    kv = rng.integers(0, 2**32, (3, 70, 4), np.uint32)
    step = np.array([1, 0, 2, 0], np.uint32)
    out = await runner.run(kernel("copy_page", UNITS=70), {"step": step, "kv": kv}, (2,))
    np.testing.assert_array_equal(out["kv"], kv[[2, 1, 2]])
