"""A layer's MLP, gated (arXiv 2002.05202) or not; or the one beside its mixture of experts that all
rows go through."""

from __future__ import annotations

from dataclasses import dataclass

from webllm_py.gpu.device import Buffer
from webllm_py.models.config import ModelConfig
from webllm_py.models.graph import Graph
from webllm_py.models.tensors import Tensors, bias_parts, norm_parts
from webllm_py.models.weights import Matrix, Part, Vector

__all__ = ["MLP", "mlp_norm"]


@dataclass(frozen=True)
class MLP:
    """Which tensors make an MLP's matrices and vectors, and the pass over them.

    Attributes:
        layer: what its tensors' names begin with.
        size: elements of a row between its halves.
        suffix: what their names end with: "_shexp" of one beside a mixture.
    """

    config: ModelConfig
    tensors: Tensors
    layer: str
    size: int
    suffix: str = ""

    def named(self, name: str) -> str:
        """The name of one of its tensors or matrices."""
        return f"{self.layer}.{name}{self.suffix}"

    def widen(self, g: Graph, target: Buffer) -> None:
        """target = the first half of the normed hidden rows."""
        if not self.config.gated:
            g.activated_linear(self.named("ffn_up"), target)
        elif self.gated_at_once:
            g.gated_linear(self.named("gate_up"), target)
        else:
            g.gate_linears(self.named("ffn_gate"), self.named("ffn_up"), target)

    def add(self, g: Graph, source: Buffer, *, weighted: bool = False) -> None:
        """hidden += the second half of what ``widen`` left; with ``weighted`` times the sigmoid of
        the last of a row's scores."""
        down = self.named("ffn_down")
        if weighted:
            g.add_weighted(down, source)
        else:
            g.add_linear(down, source, self.named("post_ffw_norm"))

    def matrices(self) -> list[Matrix]:
        """Gate and up, and down."""
        c, down = self.config, self.named("ffn_down")
        return [*self.gate_up_matrices(), self.plain_matrix(down, c.hidden_size, self.size)]

    def gate_up_matrices(self) -> list[Matrix]:
        """Gate and up fused, row by row, if they are stored alike; without a gate, up."""
        hidden = self.config.hidden_size
        if not self.config.gated:
            return [self.plain_matrix(self.named("ffn_up"), self.size, hidden)]
        parts = self.gate_up_parts("weight", hidden)
        if self.gated_at_once:
            return [Matrix(self.named("gate_up"), 2 * self.size, hidden, alternating(parts))]
        return [
            Matrix(self.named(name), self.size, hidden, (part,))
            for name, part in zip(("ffn_gate", "ffn_up"), parts, strict=True)
        ]

    def plain_matrix(self, name: str, rows: int, columns: int) -> Matrix:
        """A matrix that is one tensor."""
        tensor = self.tensors.shaped(f"{name}.weight", rows, columns)
        return Matrix(name, rows, columns, (Part(tensor),))

    def gate_up_parts(self, kind: str, *columns: int) -> tuple[Part, Part]:
        """The gate and the up projection of one kind (weight or bias): tensors of their own, or one
        below the other in the latter's."""
        gate, up = (f"{self.named(name)}.{kind}" for name in ("ffn_gate", "ffn_up"))
        fused = self.tensors.get(up) if gate not in self.tensors else None
        if fused and fused.shape[0] == 2 * self.size:
            fused = self.tensors.shaped(up, 2 * self.size, *columns)
            return (
                Part(fused, first=0, count=self.size),
                Part(fused, first=self.size, count=self.size),
            )
        return (
            Part(self.tensors.shaped(gate, self.size, *columns)),
            Part(self.tensors.shaped(up, self.size, *columns)),
        )

    @property
    def gated_at_once(self) -> bool:
        """Whether gate and up are one matrix: their rows alternate, so one format holds both."""
        gate, up = self.gate_up_parts("weight", self.config.hidden_size)
        return gate.tensor.format == up.tensor.format

    def vectors(self) -> list[Vector]:
        """The norm before it, and biases where a checkpoint has them."""
        c, down = self.config, self.named("ffn_down")
        made = self.gate_up_vectors()
        if biases := bias_parts(self.tensors, down, c.hidden_size):
            made.append(Vector(down, rows=c.hidden_size, biases=biases))
        return made

    def gate_up_vectors(self) -> list[Vector]:
        """The norm, and biases of gate and up."""
        if not self.config.gated:
            name = self.named("ffn_up")
            return [self.vector("ffn_up", self.size, bias_parts(self.tensors, name, self.size))]
        biased = f"{self.named('ffn_gate')}.bias" in self.tensors
        biases = self.gate_up_parts("bias") if biased else ()
        if self.gated_at_once:
            return [self.vector("gate_up", 2 * self.size, alternating(biases))]
        return [
            self.vector(name, self.size, biases[i : i + 1])
            for i, name in enumerate(("ffn_gate", "ffn_up"))
        ]

    def vector(self, name: str, rows: int, biases: tuple[Part, ...]) -> Vector:
        """A matrix's: the norm of its input, if that is normed, and biases."""
        c = self.config
        norm = mlp_norm(c, self.tensors, self.layer) if c.pre_norm else ()
        return Vector(self.named(name), c.hidden_size, norm, rows, biases)


def mlp_norm(config: ModelConfig, tensors: Tensors, layer: str) -> tuple[Part, ...]:
    """The norm before a layer's MLP or mixture. A parallel MLP may share attention's; some of
    GGUF's are called after what they follow."""
    name = "ffn_norm"
    if f"{layer}.{name}.weight" not in tensors:
        name = "attn_norm" if config.parallel else "post_attention_norm"
    return norm_parts(config, tensors, f"{layer}.{name}")


def alternating(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Parts whose rows alternate."""
    return tuple(
        Part(part.tensor, i, len(parts), first=part.first, count=part.count)
        for i, part in enumerate(parts)
    )
