"""Rows that go to the same expert, found and multiplied with its weights together."""

from __future__ import annotations

import numpy as np
import pytest
from blocks import BLOCKS
from formats import LAID_OUT, laid_out
from linear_kernels import padded_rows
from packed import PACKED
from placing import tame, tensor_of, whole
from runners import Runner, of_native

from webllm_py.gpu.kernels import kernel
from webllm_py.models.mixture import ExpertGroups, most_tiles

TOP = 3
# Pairs of each expert: none, one, a tile, one more than that; or all of them go to one.
RAGGED = {4: (0, 1, 4, 5, 2, 0), 32: (0, 1, 32, 33, 3, 0), 64: (64, 1, 0, 65, 0, 2)}
ONE = (0, 0, 0, 45, 0, 0)


class Routed:
    """Rows that go to so many experts each, in any order; two more rows do not count."""

    def __init__(self, counts: tuple[int, ...], tile: int, rng: np.random.Generator):
        self.experts = rng.permutation(np.repeat(np.arange(len(counts)), counts))
        self.rows = len(self.experts) // TOP
        room = most_tiles(2 * len(self.experts), len(counts), tile)
        self.groups = ExpertGroups(self.rows + 2, TOP, len(counts), tile, room)
        self.weights = rng.random((self.rows + 2, TOP), np.float32)
        past = np.full(2 * TOP, len(counts) - 1)
        chosen = np.concatenate([self.experts, past]).reshape(-1, TOP).astype(np.uint32)
        self.route = np.stack([chosen, self.weights.view(np.uint32)], 2)
        self.step = np.array([self.rows, 0, 0, 0], np.uint32)

    def sorted(self) -> np.ndarray:
        """What the kernel is to write, with an expert's pairs in the order of rows."""
        tiles, order, tile = [], np.argsort(self.experts, kind="stable"), self.groups.tile
        for expert in range(self.groups.experts):
            first, end = np.searchsorted(self.experts[order], [expert, expert + 1])
            for at in range(first, end, tile):
                tiles.append((expert, at, min(tile, end - at), 0))
        none = [(0, 0, 0, 0)] * (self.groups.room - len(tiles))
        unused = np.zeros(2 * TOP, int)
        return np.concatenate([np.ravel([*tiles, *none]), order, unused]).astype(np.uint32)


@pytest.mark.parametrize("counts", [RAGGED[4], ONE])
async def test_pairs_are_sorted(
    runner: Runner, counts: tuple[int, ...], rng: np.random.Generator
) -> None:
    routed = Routed(counts, 4, rng)
    groups = routed.groups
    constants = {"EXPERTS": groups.experts, "TOP": TOP, "TILE": 4, "TILES": groups.room}
    expected = routed.sorted()
    out = await runner.run(
        kernel("group_experts", THREADS=4, **constants),
        {"route": routed.route, "step": routed.step, "groups": np.full_like(expected, 7)},
        (1,),
    )
    tiles, pairs = np.split(out["groups"], [groups.pairs_at])
    wanted, _ = np.split(expected, [groups.pairs_at])
    read = [0, 1, 2]  # of each tile
    np.testing.assert_array_equal(tiles.reshape(-1, 4)[:, read], wanted.reshape(-1, 4)[:, read])
    np.testing.assert_array_equal(pairs[len(routed.experts) :], 7)
    found = pairs[: len(routed.experts)]
    np.testing.assert_array_equal(np.sort(found), np.arange(len(found)))
    np.testing.assert_array_equal(routed.experts[found], np.sort(routed.experts))


def test_there_is_room_for_all_tiles(rng: np.random.Generator) -> None:
    """Whatever goes where."""
    for rows, experts in ((1, 2), (9, 4), (20, 40), (64, 3)):
        pairs, most = rows * TOP, 0
        for _ in range(200):
            counts = rng.multinomial(pairs, rng.dirichlet(np.full(experts, 0.3)))
            most = max(most, int((-(-counts // 4)).sum()))
        assert most <= most_tiles(pairs, experts, 4) <= most + experts


async def weight_of(
    runner: Runner, fmt: str, n: int, k: int, rng: np.random.Generator
) -> tuple[str, np.ndarray, dict[str, np.ndarray]]:
    """Its reader, its values and its buffers."""
    if fmt in LAID_OUT:
        return fmt, *laid_out(fmt, rng.standard_normal((n, k), np.float32))
    if fmt in BLOCKS:
        return fmt, *await tame(runner, fmt, n, k, rng)
    made = PACKED[fmt].random(n, k, rng)
    reader, arrays = await whole(runner, *tensor_of(fmt, made))
    return reader, made.values, arrays


def gemm_of(tm: int, tn: int) -> tuple[str, dict[str, float]]:
    if not tm:
        return "gemm_direct", {}
    return "gemm", {"TM": tm, "TN": tn, "PREFETCH": tm < 64, "THREADS": tm * tn // 64}


GEMMS = [
    ("q8_0", 0, 0, 64, False),
    ("mxfp4", 32, 64, 96, False),
    ("q4_k", 0, 0, 256, True),
    ("f16", 32, 64, 64, True),
    ("q4_k", 32, 64, 512, False),
    ("q8_0", 64, 128, 64, False),
    ("gptq 64", 32, 64, 192, False),
]


@pytest.mark.parametrize(("fmt", "tm", "tn", "k", "to_one"), of_native(GEMMS, GEMMS[:2]))
async def test_an_experts_rows_together(
    runner: Runner, fmt: str, tm: int, tn: int, k: int, to_one: bool, rng: np.random.Generator
) -> None:
    """Of rows of their own, with a bias; pairs past the chunk's end get nothing."""
    n, tile = 20, tm or 4
    routed = Routed(ONE if to_one else RAGGED[tile], tile, rng)
    groups = routed.groups
    fmt, weight, arrays = await weight_of(runner, fmt, groups.experts * n, k, rng)
    bias = rng.standard_normal(groups.experts * n).astype(np.float32)
    x = padded_rows(rng.standard_normal((groups.rows, k)))
    start = np.full((groups.pairs, n), 3, np.float32)
    name, shape = gemm_of(tm, tn)
    out = await runner.run(
        kernel(
            name,
            snippets={
                "quant": f"quant/{fmt}",
                "epilogue": "epilogue/store",
                "finish": "linear/finish_experts",
            },
            N=len(bias),
            SLICE=len(bias),
            UNITS=x.shape[1] // 8,
            EXPERT_ROWS=n,
            SHARE=TOP,
            PAIRS_AT=groups.pairs_at,
            BIAS=True,
            Y_STRIDE=n,
            **shape,
        ),
        {"x": x, "vectors": bias, "y": start, "groups": routed.sorted(), **arrays},
        (1, groups.tiles),
    )
    matrices, expected = weight.reshape(groups.experts, n, -1), start.astype(np.float64)
    for pair, expert in enumerate(routed.experts):
        row = x[pair // TOP, :k].astype(np.float64)
        expected[pair] = matrices[expert][:, :k] @ row + bias[expert * n : (expert + 1) * n]
    np.testing.assert_allclose(out["y"], expected, rtol=0, atol=2e-6 * k * np.abs(weight).max())


@pytest.mark.parametrize(("tm", "tn"), [(0, 0), (32, 64)])
async def test_slices_of_experts(
    runner: Runner, tm: int, tn: int, rng: np.random.Generator
) -> None:
    """Pairs with rows of their own, gated, out of two slices, the first of which holds two
    experts; more rows than a tile is wide."""
    n, k, tile = 152, 32, tm or 4
    routed = Routed(RAGGED[tile], tile, rng)
    groups = routed.groups
    weight = rng.standard_normal((groups.experts, n, k)).astype(np.float32) / 4
    x = rng.standard_normal((groups.pairs, k)).astype(np.float32)
    y = np.zeros((groups.pairs, n // 2), np.float32)
    name, shape = gemm_of(tm, tn)
    for first, end in ((0, 2), (2, groups.experts)):
        _, arrays = laid_out("f32", weight[first:end].reshape(-1, k))
        made = kernel(
            name,
            snippets={
                "quant": "quant/f32",
                "epilogue": "epilogue/clamped_glu",
                "finish": "linear/finish_experts",
            },
            N=groups.experts * n,
            ROW0=first * n,
            SLICE=(end - first) * n,
            UNITS=k // 8,
            EXPERT_ROWS=n,
            SHARE=1,
            PAIRS_AT=groups.pairs_at,
            Y_STRIDE=n // 2,
            LIMIT=2,
            **shape,
        )
        bound = {"x": x, "vectors": np.zeros(4, np.float32), "groups": routed.sorted(), **arrays}
        out = await runner.run(made, {**bound, "y": y}, (3, groups.tiles))
        y = out["y"]
    expected = np.zeros(y.shape)
    for pair, expert in enumerate(routed.experts):
        v = weight[expert].astype(np.float64) @ x[pair]
        gate, up = np.minimum(v[::2], 2), np.clip(v[1::2], -2, 2)
        expected[pair] = gate / (1 + np.exp(-1.702 * gate)) * (up + 1)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=3e-5)


async def test_answers_are_added(runner: Runner, rng: np.random.Generator) -> None:
    routed, width = Routed(RAGGED[4], 4, rng), 288
    answers = rng.standard_normal((routed.groups.rows, TOP, width)).astype(np.float32)
    hidden = rng.standard_normal((routed.groups.rows, width)).astype(np.float32)
    out = await runner.run(
        kernel("add_experts", UNITS=width // 4, TOP=TOP, RESIDUAL_SCALE=0.5),
        {"answers": answers, "route": routed.route, "step": routed.step, "hidden": hidden},
        (2, routed.groups.rows),
    )
    expected = hidden + 0.5 * (answers * routed.weights[:, :, None]).sum(1)
    expected[routed.rows :] = hidden[routed.rows :]
    np.testing.assert_allclose(out["hidden"], expected, rtol=0, atol=1e-5)
