"""A mixture of experts in the place of a layer's MLP (arXiv 1701.06538)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.models.config import ModelConfig
from webllm_py.models.graph import Graph
from webllm_py.models.tensors import Tensors, norm_parts
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

    @property
    def norm(self) -> str:
        """The norm before it."""
        return f"{self.name}.ffn_norm"

    def forward(self, g: Graph) -> None:
        """hidden += the weighted answers of the experts that each row goes to."""
        g.route(self.norm, self.router)
        g.gated_experts(f"{self.name}.gate_up_exps")
        g.add_experts(f"{self.name}.down_exps")

    def matrices(self) -> list[Matrix]:
        """The router; gate and up of the experts, row by row; down. A shared expert's rows are the
        last ones of each."""
        c = self.config
        router = Part(self.tensors.shaped(f"{self.router}.weight", c.n_experts, c.hidden_size))
        gate_up = self.gate_up("weight", c.hidden_size)
        down = self.parts("ffn_down", "weight", c.hidden_size, c.expert_size)
        if c.shared_expert:
            gate_up, down = (*gate_up, *self.shared_gate_up()), (*down, self.shared_down())
        routers = (router, self.shared_router()) if c.shared_expert else (router,)
        count, width, hidden = c.all_experts, 2 * c.expert_size, c.hidden_size
        return [
            Matrix(self.router, count, hidden, routers),
            Matrix(f"{self.name}.gate_up_exps", count * width, hidden, gate_up, width),
            Matrix(f"{self.name}.down_exps", count * hidden, c.expert_size, down, hidden),
        ]

    def shared_router(self) -> Part:
        """What scores the shared expert: a row, which GGUF has as a vector."""
        name, hidden = f"{self.router}_shexp.weight", self.config.hidden_size
        tensor = self.tensors.get(name)
        if tensor is None or math.prod(tensor.shape) != hidden:
            tensor = self.tensors.shaped(name, 1, hidden)
        return Part(replace(tensor, shape=(1, hidden)), self.config.n_experts)

    def shared_gate_up(self) -> tuple[Part, ...]:
        """Gate and up of the shared expert."""
        c = self.config
        base = 2 * c.n_experts * c.expert_size
        return tuple(
            Part(self.shared(name, c.expert_size, c.hidden_size), base + i, 2)
            for i, name in enumerate(("ffn_gate", "ffn_up"))
        )

    def shared_down(self) -> Part:
        """What projects the shared expert's answer."""
        c = self.config
        tensor = self.shared("ffn_down", c.hidden_size, c.expert_size)
        return Part(tensor, c.n_experts * c.hidden_size)

    def shared(self, name: str, rows: int, columns: int) -> TensorInfo:
        """A matrix of the shared expert."""
        return self.tensors.shaped(f"{self.name}.{name}_shexp.weight", rows, columns)

    def vectors(self) -> list[Vector]:
        """The norm before it, and biases where a checkpoint has them."""
        c = self.config
        stored = self.norm
        if f"{stored}.weight" not in self.tensors:
            # gpt-oss's GGUF files call it after what it follows.
            stored = f"{self.name}.post_attention_norm"
        made = [Vector(self.norm, c.hidden_size, norm_parts(c, self.tensors, stored))]
        if f"{self.router}.bias" in self.tensors:
            bias = self.tensors.shaped(f"{self.router}.bias", c.n_experts)
            made.append(Vector(self.router, rows=c.n_experts, biases=(Part(bias),)))
        if f"{self.name}.ffn_down_exps.bias" in self.tensors:
            gate_up, down = self.gate_up("bias"), self.parts("ffn_down", "bias", c.hidden_size)
            rows = 2 * c.n_experts * c.expert_size
            made += [
                Vector(f"{self.name}.gate_up_exps", rows=rows, biases=gate_up),
                Vector(f"{self.name}.down_exps", rows=c.n_experts * c.hidden_size, biases=down),
            ]
        return made

    def gate_up(self, kind: str, *columns: int) -> tuple[Part, ...]:
        """Gate and up of one kind (weight or bias), row by row: they are two tensors, or one, in
        which their rows alternate, or an expert's ups are below its gates."""
        c = self.config
        if f"{self.name}.ffn_gate_up_exps.{kind}" in self.tensors:
            (fused,) = self.parts("ffn_gate_up", kind, 2 * c.expert_size, *columns)
            if c.experts_alternate:
                return (fused,)
            count, width = c.n_experts * c.expert_size, c.expert_size
            halves = Part(fused.tensor, stride=2, count=count, run=width, apart=2 * width)
            return tuple(replace(halves, base=i, first=i * width) for i in range(2))
        both = (self.parts(name, kind, c.expert_size, *columns) for name in ("ffn_gate", "ffn_up"))
        return tuple(
            replace(part, base=2 * part.base + i, stride=2)
            for i, parts in enumerate(both)
            for part in parts
        )

    def parts(self, name: str, kind: str, rows: int, *columns: int) -> tuple[Part, ...]:
        """A projection of all experts: one tensor, or one for each expert."""
        stem, count = f"{self.name}.{name}_exps", self.config.n_experts
        if f"{stem}.{kind}" in self.tensors:
            return (Part(flat(self.tensors.shaped(f"{stem}.{kind}", count, rows, *columns))),)
        return tuple(
            Part(self.tensors.shaped(f"{stem}.{i}.{kind}", rows, *columns), i * rows)
            for i in range(count)
        )


def flat(tensor: TensorInfo) -> TensorInfo:
    """The experts' matrices, or vectors, as one: each behind the other."""
    experts, rows, *columns = tensor.shape
    companions = {name: flat(companion) for name, companion in tensor.companions.items()}
    return replace(tensor, shape=(experts * rows, *columns), companions=companions)
