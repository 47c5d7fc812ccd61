"""A mixture of experts in the place of a layer's MLP (arXiv 1701.06538)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.models.config import ModelConfig
from webllm_py.models.graph import Graph
from webllm_py.models.tensors import Tensors
from webllm_py.models.weights import Matrix, Part, Vector

__all__ = ["Experts"]


@dataclass(frozen=True)
class Experts:
    """Which tensors make a mixture's matrices, and the pass over them.

    The matrices of all experts are one, each expert's rows behind the other's.

    Attributes:
        name: what the layer's tensors' names begin with.
    """

    config: ModelConfig
    tensors: Tensors
    name: str

    @property
    def router(self) -> str:
        """The matrix that scores experts."""
        return f"{self.name}.ffn_gate_inp"

    def forward(self, g: Graph) -> None:
        """hidden += the weighted answers of the experts that each row goes to."""
        g.route(f"{self.name}.ffn_norm", self.router)
        g.gated_experts(f"{self.name}.gate_up_exps")
        g.add_experts(f"{self.name}.down_exps")

    def matrices(self) -> list[Matrix]:
        """The router; gate and up of the experts, row by row; down."""
        c = self.config
        router = self.tensors.shaped(f"{self.router}.weight", c.n_experts, c.hidden_size)
        rows = 2 * c.n_experts * c.expert_size
        gate, up = (
            self.parts(name, c.expert_size, c.hidden_size) for name in ("ffn_gate", "ffn_up")
        )
        pairs = [
            replace(part, base=2 * part.base + i, stride=2)
            for i, parts in enumerate((gate, up))
            for part in parts
        ]
        down = self.parts("ffn_down", c.hidden_size, c.expert_size)
        return [
            Matrix(self.router, c.n_experts, c.hidden_size, (Part(router),)),
            Matrix(
                f"{self.name}.gate_up_exps",
                rows,
                c.hidden_size,
                tuple(pairs),
                2 * c.expert_size,
            ),
            Matrix(
                f"{self.name}.down_exps",
                c.n_experts * c.hidden_size,
                c.expert_size,
                down,
                c.hidden_size,
            ),
        ]

    def parts(self, name: str, rows: int, columns: int) -> tuple[Part, ...]:
        """A projection of all experts: one tensor (GGUF's), or one for each expert."""
        stem, count = f"{self.name}.{name}_exps", self.config.n_experts
        if f"{stem}.weight" in self.tensors:
            tensor = self.tensors.shaped(f"{stem}.weight", count, rows, columns)
            return (Part(flat(tensor)),)
        return tuple(
            Part(self.tensors.shaped(f"{stem}.{i}.weight", rows, columns), i * rows)
            for i in range(count)
        )

    def vectors(self) -> list[Vector]:
        """The norm before it."""
        c = self.config
        norm = self.tensors.shaped(f"{self.name}.ffn_norm.weight", c.hidden_size)
        return [Vector(f"{self.name}.ffn_norm", c.hidden_size, (Part(norm, plus=c.norm_plus),))]


def flat(tensor: TensorInfo) -> TensorInfo:
    """A tensor of matrices as one matrix, each behind the other."""
    return replace(tensor, shape=(tensor.shape[0] * tensor.shape[1], tensor.shape[2]))
