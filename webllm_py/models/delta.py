"""A gated delta net in the place of a layer's attention (arXiv 2412.06464): what came before is
kept in a state of fixed size, a matrix for each head, instead of keys and values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.models.config import CONV, DeltaNumbers, ModelConfig
from webllm_py.models.graph import Graph
from webllm_py.models.tensors import Tensors, norm_parts
from webllm_py.models.weights import Matrix, Part, Vector

__all__ = ["DeltaNet"]


@dataclass(frozen=True)
class DeltaNet:
    """Which tensors make its matrices and vectors, and the pass over them.

    Attributes:
        name: what the layer's tensors' names begin with.
        index: the layer.
    """

    config: ModelConfig
    tensors: Tensors
    name: str
    index: int

    @property
    def sizes(self) -> DeltaNumbers:
        """Its numbers."""
        assert self.config.delta
        return self.config.delta

    def forward(self, g: Graph) -> None:
        """hidden += what the net makes of the normed hidden rows."""
        name = self.name
        g.project_delta(f"{name}.delta_in")
        g.convolve(f"{name}.ssm_conv1d", self.index)
        g.delta_rule(f"{name}.ssm_gates", self.index)
        g.norm_delta(f"{name}.ssm_norm", self.index)
        g.add_linear(f"{name}.ssm_out", g.buffers.attended, "")

    def matrices(self) -> list[Matrix]:
        """What projects in, all of it below each other, and out."""
        d, c = self.sizes, self.config
        parts, base = [], 0
        for name, rows in (
            ("attn_qkv", d.channels),
            ("attn_gate", d.v_width),
            ("ssm_alpha", d.v_heads),
            ("ssm_beta", d.v_heads),
        ):
            tensor = self.tensors.shaped(f"{self.name}.{name}.weight", rows, c.hidden_size)
            parts.append(Part(tensor, base))
            base += rows
        out = self.tensors.shaped(f"{self.name}.ssm_out.weight", c.hidden_size, d.v_width)
        return [
            Matrix(f"{self.name}.delta_in", base, c.hidden_size, tuple(parts)),
            Matrix(f"{self.name}.ssm_out", c.hidden_size, d.v_width, (Part(out),)),
        ]

    def vectors(self) -> list[Vector]:
        """The norm before it, the convolution, the heads' gates (A of each, then what is added to
        the step), and the norm of its result."""
        d, c, name = self.sizes, self.config, self.name
        conv = self.conv()
        decay = self.tensors.shaped(f"{name}.ssm_a", d.v_heads)
        step = self.tensors.shaped(f"{name}.ssm_dt.bias", d.v_heads)
        norm = self.tensors.shaped(f"{name}.ssm_norm.weight", d.v_dim)
        before = norm_parts(c, self.tensors, f"{name}.attn_norm")
        return [
            Vector(f"{name}.delta_in", c.hidden_size, before),
            Vector(f"{name}.ssm_conv1d", rows=conv.shape[0], biases=(Part(conv),)),
            Vector(
                f"{name}.ssm_gates", rows=2 * d.v_heads, biases=(Part(decay), Part(step, d.v_heads))
            ),
            Vector(f"{name}.ssm_norm", rows=d.v_dim, biases=(Part(norm),)),
        ]

    def conv(self) -> TensorInfo:
        """The convolution's weights, four a channel, as a vector: files differ in its dimensions.

        Raises:
            CorruptCheckpointError: there are none, or not as many.
        """
        name, channels = f"{self.name}.ssm_conv1d.weight", self.sizes.channels
        tensor = self.tensors.get(name)
        if tensor is None or math.prod(tensor.shape) != channels * CONV:
            tensor = self.tensors.shaped(name, channels, CONV)
        return replace(tensor, shape=(channels * CONV,))
