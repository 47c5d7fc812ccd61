"""A gated short convolution in the place of a layer's attention (arXiv 2511.23404): a row sees the
few before it, channel by channel, with a gate before the convolution and one behind it."""

from __future__ import annotations

from dataclasses import dataclass

from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import padded
from webllm_py.models.graph import Graph
from webllm_py.models.recurrence import ShortConvConfig
from webllm_py.models.recurrent import RecurrentLayer
from webllm_py.models.tensors import norm_parts
from webllm_py.models.weights import Matrix, Part, Vector

__all__ = ["ShortConv"]


@dataclass(frozen=True)
class ShortConv(RecurrentLayer):
    """See the base class; GGUF calls its tensors ``shortconv``."""

    @property
    def sizes(self) -> ShortConvConfig:
        """Its hyper-parameters."""
        assert isinstance(self.config.recurrence, ShortConvConfig)
        return self.config.recurrence

    @property
    def stem(self) -> str:
        """What the names of its own tensors begin with."""
        return f"{self.name}.shortconv"

    @property
    def projection(self) -> str:
        """The name of what projects in."""
        return f"{self.stem}.in_proj"

    def forward(self, g: Graph) -> None:
        """hidden += what it makes of the normed hidden rows.

        They are projected to mixed: both gates, and the channels; attended is convolved and gated.
        """
        s, buffers = self.sizes, g.buffers
        self.project(g)
        stride = padded(s.channels)
        made = kernel(
            "short_conv",
            snippets={},
            CHANNELS=s.channels,
            PAST=s.kernel - 1,
            Y_STRIDE=stride,
            **self.state_constants(g),
        )
        weight = g.weights.vectors[f"{self.stem}.conv"][1]
        bound = {"x": buffers.mixed, "weight": weight, "states": self.states(g)}
        bound["y"] = buffers.attended
        self.dispatch(g, made, bound, (-(-stride // 64), g.rows, 1))
        g.add_linear(f"{self.stem}.out_proj", buffers.attended, "")

    def matrices(self) -> list[Matrix]:
        s, hidden = self.sizes, self.config.hidden_size
        shapes = {
            self.projection: (s.rows, hidden),
            f"{self.stem}.out_proj": (hidden, s.channels),
        }
        return [
            Matrix(name, *shape, (Part(self.tensors.shaped(f"{name}.weight", *shape)),))
            for name, shape in shapes.items()
        ]

    def vectors(self) -> list[Vector]:
        s, c = self.sizes, self.config
        conv = self.tensors.flattened(f"{self.stem}.conv.weight", s.channels, s.kernel)
        before = norm_parts(c, self.tensors, f"{self.name}.attn_norm")
        return [
            Vector(self.projection, c.hidden_size, before),
            Vector(f"{self.stem}.conv", rows=conv.shape[0], biases=(Part(conv),)),
        ]
