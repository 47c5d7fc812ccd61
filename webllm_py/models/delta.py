"""A gated delta net in the place of a layer's attention (arXiv 2412.06464): what came before is
kept in a state of fixed size, a matrix for each head, instead of keys and values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer
from webllm_py.gpu.kernels import Kernel, kernel
from webllm_py.models.activations import padded
from webllm_py.models.graph import Graph
from webllm_py.models.recurrence import CONV, DELTA_BLOCK, DeltaConfig
from webllm_py.models.recurrent import RecurrentLayer
from webllm_py.models.step import SLOTS
from webllm_py.models.tensors import norm_parts
from webllm_py.models.weights import Matrix, Part, Vector

__all__ = ["DeltaNet"]


@dataclass(frozen=True)
class DeltaNet(RecurrentLayer):
    """See the base class."""

    @property
    def sizes(self) -> DeltaConfig:
        """Its hyper-parameters."""
        assert isinstance(self.config.recurrence, DeltaConfig)
        return self.config.recurrence

    @property
    def projection(self) -> str:
        """The name of what projects in."""
        return f"{self.name}.delta_in"

    def forward(self, g: Graph) -> None:
        """hidden += what the net makes of the normed hidden rows.

        They are projected to mixed; convolved has queries, keys and values mixed with what came
        just before; q what the queries find in the states; attended that, normed by head and gated.
        """
        self.project(g)
        self.convolve(g)
        self.apply_rule(g)
        self.norm(g)
        g.add_linear(f"{self.name}.ssm_out", g.buffers.attended, "")

    def convolve(self, g: Graph) -> None:
        """Convolve each row's channels, and bring each head's queries and keys to length 1."""
        d, activation = self.sizes, {"activation": "activation/silu"}
        made = self.kernel(g, "delta_conv", activation, LANES=64, THREADS=64)
        weight = g.weights.vectors[f"{self.name}.ssm_conv1d"][1]
        bound = {"weight": weight, "y": g.buffers.convolved}
        bound |= {"x": g.buffers.mixed, "states": self.states(g)}
        self.dispatch(g, made, bound, (2 * d.k_heads + d.v_heads, g.rows, 1))

    def apply_rule(self, g: Graph) -> None:
        """Each row changes its sequence's state, and its queries are asked."""
        if g.rows >= g.tuning.delta_rows:
            self.apply_to_blocks(g)
            return
        d, buffers = self.sizes, g.buffers
        lanes = d.k_dim // 16
        shape = {"LANES": lanes, "THREADS": 64}
        made = self.kernel(g, "delta_rule", {}, TILED=d.tiled, LOG_DECAY=d.log_decay, **shape)
        bound = {"x": buffers.mixed, "gates": self.gates(g), "states": self.states(g)}
        bound |= {"qkv": buffers.convolved, "y": buffers.q}
        # Rows of several sequences are at most SLOTS; those of a chunk follow each other.
        runs = g.rows if g.rows <= SLOTS else 1
        self.dispatch(g, made, bound, (-(-d.width * lanes // 64), 1, runs))

    def apply_to_blocks(self, g: Graph) -> None:
        """The same of a chunk's rows, a block of them at a time."""
        d, buffers = self.sizes, g.buffers
        shared = {"qkv": buffers.convolved, "blocks": buffers.delta_blocks}
        made = self.kernel(g, "delta_blocks", {}, TILED=d.tiled, LOG_DECAY=d.log_decay)
        bound = {"x": buffers.mixed, "gates": self.gates(g), **shared}
        self.dispatch(g, made, bound, (-(-g.rows // DELTA_BLOCK), d.v_heads, 1))
        made = self.kernel(g, "delta_chunk", {}, TILED=d.tiled)
        bound = {"states": self.states(g), "y": buffers.q, **shared}
        self.dispatch(g, made, bound, (-(-d.v_dim // 8), d.v_heads, 1))

    def norm(self, g: Graph) -> None:
        """Norm each head's result, and keep the last rows for the next chunk's convolution."""
        d, activation = self.sizes, {"activation": "activation/silu"}
        sizes = {"Y_STRIDE": padded(d.width), "LANES": 64, "THREADS": 64}
        made = self.kernel(g, "delta_norm", activation, EPS=self.config.norm_eps, **sizes)
        weight = g.weights.vectors[f"{self.name}.ssm_norm"][1]
        bound = {"weight": weight, "q": g.buffers.q, "y": g.buffers.attended}
        bound |= {"x": g.buffers.mixed, "states": self.states(g)}
        self.dispatch(g, made, bound, (d.v_heads, g.rows, 1))

    def kernel(
        self, g: Graph, name: str, snippets: Mapping[str, str], **constants: float
    ) -> Kernel:
        """One of its kernels, with the constants that all of them have."""
        d = self.sizes
        return kernel(
            name,
            snippets={"states": "delta/states", **snippets},
            K_HEADS=d.k_heads,
            V_HEADS=d.v_heads,
            K_DIM=d.k_dim,
            V_DIM=d.v_dim,
            **self.state_constants(g),
            **constants,
        )

    def gates(self, g: Graph) -> Buffer:
        """What its heads' gates are made with."""
        return g.weights.vectors[f"{self.name}.ssm_gates"][1]

    def matrices(self) -> list[Matrix]:
        """What projects in, all of it below each other, and out."""
        d, c = self.sizes, self.config
        parts, base = [], 0
        for name, rows in (
            ("attn_qkv", d.channels),
            ("attn_gate", d.width),
            ("ssm_alpha", d.v_heads),
            ("ssm_beta", d.v_heads),
        ):
            tensor = self.tensors.shaped(f"{self.name}.{name}.weight", rows, c.hidden_size)
            parts.append(Part(tensor, base))
            base += rows
        out = self.tensors.shaped(f"{self.name}.ssm_out.weight", c.hidden_size, d.width)
        return [
            Matrix(self.projection, base, c.hidden_size, tuple(parts)),
            Matrix(f"{self.name}.ssm_out", c.hidden_size, d.width, (Part(out),)),
        ]

    def vectors(self) -> list[Vector]:
        """The norm before it, the convolution, the heads' gates (A of each, then what is added to
        the step), and the norm of its result."""
        d, c, name = self.sizes, self.config, self.name
        conv = self.tensors.flattened(f"{name}.ssm_conv1d.weight", d.channels, CONV)
        decay = self.tensors.shaped(f"{name}.ssm_a", d.v_heads)
        step = self.tensors.shaped(f"{name}.ssm_dt.bias", d.v_heads)
        norm = self.tensors.shaped(f"{name}.ssm_norm.weight", d.v_dim)
        before = norm_parts(c, self.tensors, f"{name}.attn_norm")
        return [
            Vector(self.projection, c.hidden_size, before),
            Vector(f"{name}.ssm_conv1d", rows=conv.shape[0], biases=(Part(conv),)),
            Vector(
                f"{name}.ssm_gates", rows=2 * d.v_heads, biases=(Part(decay), Part(step, d.v_heads))
            ),
            Vector(f"{name}.ssm_norm", rows=d.v_dim, biases=(Part(norm),)),
        ]
