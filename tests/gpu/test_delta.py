"""The kernels of gated delta nets against numpy (arXiv 2412.06464), written token by token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from runners import Runner, of_native
from state_rows import ROWS, ROWS_AT, STATES, STATES_AT, state_of, step_of, windows

from webllm_py.gpu.kernels import kernel


@dataclass(frozen=True)
class Shape:
    k_heads: int
    v_heads: int
    k_dim: int
    v_dim: int

    @property
    def channels(self) -> int:
        return 2 * self.k_heads * self.k_dim + self.v_width

    @property
    def v_width(self) -> int:
        return self.v_heads * self.v_dim

    @property
    def stride(self) -> int:
        return self.channels + self.v_width + 2 * self.v_heads

    @property
    def state(self) -> int:
        return 3 * self.channels + self.v_width * self.k_dim

    @property
    def words(self) -> dict[str, int]:
        names = ("k_heads", "v_heads", "k_dim", "v_dim")
        sizes = {name.upper(): getattr(self, name) for name in names}
        where = {"STEP_ROWS": ROWS_AT, "STEP_STATES": STATES_AT, "STATE": self.state}
        return {**sizes, **where}


SHAPES = [Shape(1, 1, 16, 4), Shape(2, 6, 32, 20), Shape(3, 3, 64, 36), Shape(2, 4, 128, 128)]
CASES = [
    (SHAPES[0], "two"),
    (SHAPES[1], "together"),
    (SHAPES[1], "later"),
    (SHAPES[2], "together"),
    (SHAPES[3], "prompt"),
]
IN_CHROMIUM = CASES[1:2]


class Net:
    """Random inputs, and what the kernels are to make of them."""

    def __init__(self, shape: Shape, rows: str, rng: np.random.Generator):
        self.shape, self.rows = shape, ROWS[rows]
        made = rng.standard_normal
        self.padded = len(self.rows) + 3
        self.x = made((self.padded, shape.stride)).astype(np.float32)
        self.states = made((STATES, shape.state)).astype(np.float32)
        self.weight = made((shape.channels, 4)).astype(np.float32)
        slopes = made(shape.v_heads) - 2
        self.gates = np.concatenate([slopes, made(shape.v_heads)]).astype(np.float32)
        self.norm = made(shape.v_dim).astype(np.float32)

    @property
    def step(self) -> np.ndarray:
        return step_of(self.rows)

    def tails(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each row the channels of it and of the three positions before; and the states' tails
        afterwards."""
        s = self.shape
        tails = self.states[:, : 3 * s.channels].reshape(STATES, 3, s.channels)
        return windows(self.rows, self.x[:, : s.channels], tails)

    def convolved(self) -> np.ndarray:
        """(rows, channels), float64."""
        s, (seen, _) = self.shape, self.tails()
        v = np.einsum("mtc,ct->mc", seen, self.weight.astype(np.float64))
        v = v / (1 + np.exp(-v))
        keys = 2 * s.k_heads * s.k_dim
        heads = v[:, :keys].reshape(len(v), 2, s.k_heads, s.k_dim)
        heads /= np.sqrt((heads**2).sum(-1, keepdims=True) + 1e-6)
        heads[:, 0] /= np.sqrt(s.k_dim)
        return np.concatenate([heads.reshape(len(v), keys), v[:, keys:]], 1)

    def ruled(self, qkv: np.ndarray, tiled: bool) -> tuple[np.ndarray, np.ndarray]:
        """What the heads' queries find, (rows, v_width), and the matrices afterwards."""
        s = self.shape
        matrices = self.states[:, 3 * s.channels :].astype(np.float64)
        matrices = matrices.reshape(STATES, s.v_heads, s.v_dim, s.k_dim)
        found = np.zeros((len(self.rows), s.v_heads, s.v_dim))
        for m, (slot, position) in enumerate(self.rows):
            q, k = qkv[m, : 2 * s.k_heads * s.k_dim].reshape(2, s.k_heads, s.k_dim)
            values = qkv[m, 2 * s.k_heads * s.k_dim :].reshape(s.v_heads, s.v_dim)
            a, b = self.x[m, -2 * s.v_heads :].astype(np.float64).reshape(2, s.v_heads)
            for h in range(s.v_heads):
                head = h % s.k_heads if tiled else h // (s.v_heads // s.k_heads)
                matrix = matrices[state_of(slot), h]
                if position == 0:
                    matrix[:] = 0
                rate = np.logaddexp(0, a[h] + self.gates[s.v_heads + h])
                matrix *= np.exp(-np.exp(np.float64(self.gates[h])) * rate)
                delta = (values[h] - matrix @ k[head]) / (1 + np.exp(-b[h]))
                matrix += np.outer(delta, k[head])
                found[m, h] = matrix @ q[head]
        return found.reshape(len(self.rows), s.v_width), matrices

    def stored_gates(self, tiled: bool) -> np.ndarray:
        """With tiled heads goes the decay as GGUF has it."""
        gates, heads = self.gates.copy(), self.shape.v_heads
        if tiled:
            gates[:heads] = -np.exp(gates[:heads])
        return gates

    def check_ruled(self, out: dict[str, np.ndarray], qkv: np.ndarray, tiled: bool) -> None:
        """Whether these are the results and matrices of ``ruled``, beside tails as they were."""
        found, matrices = self.ruled(qkv.astype(np.float64), tiled)
        np.testing.assert_allclose(out["y"], self.to_pad(found), rtol=1e-4, atol=1e-5)
        tails = 3 * self.shape.channels
        kept = out["states"][:, tails:].reshape(matrices.shape)
        np.testing.assert_allclose(kept, matrices, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(out["states"][:, :tails], self.states[:, :tails])

    def to_pad(self, rows: np.ndarray) -> np.ndarray:
        """float32, with rows past the last one, which are to stay as they are."""
        return np.pad(rows, ((0, self.padded - len(rows)), (0, 0))).astype(np.float32)


@pytest.fixture
def net(shape: Shape, rows: str, rng: np.random.Generator) -> Net:
    return Net(shape, rows, rng)


cases = pytest.mark.parametrize(("shape", "rows"), of_native(CASES, IN_CHROMIUM))


@cases
async def test_convolution(runner: Runner, net: Net) -> None:
    s = net.shape
    out = await runner.run(
        kernel(
            "delta_conv",
            snippets={"states": "delta/states", "activation": "activation/silu"},
            LANES=32,
            THREADS=32,
            **s.words,
        ),
        {
            "x": net.x,
            "weight": net.weight,
            "step": net.step,
            "states": net.states,
            "y": np.zeros((net.padded, s.channels), np.float32),
        },
        (2 * s.k_heads + s.v_heads, net.padded),
    )
    np.testing.assert_allclose(out["y"], net.to_pad(net.convolved()), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("tiled", of_native([False, True], [False]))
@cases
async def test_delta_rule(runner: Runner, net: Net, tiled: bool) -> None:
    s, qkv = net.shape, net.to_pad(net.convolved())
    lanes = s.k_dim // 16
    apart = len({slot for slot, _ in net.rows}) > 1
    out = await runner.run(
        kernel(
            "delta_rule",
            snippets={"states": "delta/states"},
            TILED=tiled,
            LOG_DECAY=not tiled,
            LANES=lanes,
            THREADS=64,
            **s.words,
        ),
        {
            "x": net.x,
            "gates": net.stored_gates(tiled),
            "step": net.step,
            "states": net.states,
            "qkv": qkv,
            "y": np.zeros((net.padded, s.v_width), np.float32),
        },
        (-(-s.v_width * lanes // 64), 1, net.padded if apart else 1),
    )
    net.check_ruled(out, qkv, tiled)


BLOCKS = [
    (SHAPES[0], "two", False),
    (SHAPES[1], "later", True),
    (SHAPES[2], "prompt", False),
    (SHAPES[3], "long", True),
    (Shape(1, 2, 256, 12), "long", False),
]


@pytest.mark.parametrize(("shape", "rows", "tiled"), of_native(BLOCKS, BLOCKS[1:2]))
async def test_delta_rule_in_blocks(runner: Runner, net: Net, tiled: bool) -> None:
    """Some rows of no whole block, and heads of no whole group of columns; behind some rows next to
    nothing is left of what was before."""
    net.x[4::9, -2 * net.shape.v_heads : -net.shape.v_heads] += 4000
    s, qkv = net.shape, net.to_pad(net.convolved())
    n_blocks = -(-len(net.rows) // 32)
    snippets = {"states": "delta/states"}
    made = await runner.run(
        kernel("delta_blocks", snippets=snippets, TILED=tiled, LOG_DECAY=not tiled, **s.words),
        {
            "x": net.x,
            "gates": net.stored_gates(tiled),
            "step": net.step,
            "qkv": qkv,
            "blocks": np.full((n_blocks, s.v_heads, 2 * 32 * 32 + 2 * 32), np.nan, np.float32),
        },
        (n_blocks + 1, s.v_heads),
    )
    out = await runner.run(
        kernel("delta_chunk", snippets=snippets, TILED=tiled, **s.words),
        {
            "blocks": made["blocks"],
            "step": net.step,
            "states": net.states,
            "qkv": qkv,
            "y": np.zeros((net.padded, s.v_width), np.float32),
        },
        (-(-s.v_dim // 8), s.v_heads),
    )
    net.check_ruled(out, qkv, tiled)


@cases
async def test_gated_norm(runner: Runner, net: Net, rng: np.random.Generator) -> None:
    """And the tails that the next convolution sees."""
    s, eps, stride = net.shape, 1e-6, -(-net.shape.v_width // 32) * 32
    q = rng.standard_normal((net.padded, s.v_width)).astype(np.float32)
    out = await runner.run(
        kernel(
            "delta_norm",
            snippets={"states": "delta/states", "activation": "activation/silu"},
            EPS=eps,
            Y_STRIDE=stride,
            LANES=32,
            THREADS=32,
            **s.words,
        ),
        {
            "x": net.x,
            "weight": net.norm,
            "step": net.step,
            "states": net.states,
            "q": q,
            "y": np.zeros((net.padded, stride), np.float32),
        },
        (s.v_heads, net.padded),
    )
    heads = q[: len(net.rows)].reshape(-1, s.v_heads, s.v_dim).astype(np.float64)
    heads = heads / np.sqrt((heads**2).mean(-1, keepdims=True) + eps) * net.norm
    gates = net.x[: len(net.rows), s.channels : s.channels + s.v_width].astype(np.float64)
    y = heads.reshape(-1, s.v_width) * gates / (1 + np.exp(-gates))
    np.testing.assert_allclose(out["y"][:, : s.v_width], net.to_pad(y), rtol=1e-5, atol=1e-5)
    _, tails = net.tails()
    kept = out["states"][:, : 3 * s.channels].reshape(tails.shape)
    np.testing.assert_allclose(kept, tails, rtol=1e-6)
    np.testing.assert_array_equal(
        out["states"][:, 3 * s.channels :], net.states[:, 3 * s.channels :]
    )


async def test_gated_attention(runner: Runner, rng: np.random.Generator) -> None:
    width, stride, rows = 72, 96, 3
    x = rng.standard_normal((rows, 200)).astype(np.float32) * 8
    y = rng.standard_normal((rows, stride)).astype(np.float32)
    made = kernel("gate_attended", WIDTH=width, X_STRIDE=200, GATES_AT=100, Y_STRIDE=stride)
    out = await runner.run(made, {"x": x, "y": y}, (2, rows))
    expected = y.copy()
    expected[:, :width] /= 1 + np.exp(-x[:, 100 : 100 + width].astype(np.float64))
    np.testing.assert_allclose(out["y"], expected, rtol=1e-5)
