"""A layer of a decoder: attention and an MLP, each added to what goes in.

LLaMA (arXiv 2302.13971) and the families that differ from it as ``ModelConfig`` says. Biases are
found by their tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.models.config import ModelConfig
from webllm_py.models.experts import Experts
from webllm_py.models.graph import Graph
from webllm_py.models.tensors import Tensors, norm_parts
from webllm_py.models.weights import Matrix, Part, Vector

if TYPE_CHECKING:
    from webllm_py.models.delta import DeltaNet

__all__ = ["Layer"]


@dataclass(frozen=True)
class Layer:
    """Which tensors make a layer's matrices and vectors, and the pass over them."""

    config: ModelConfig
    tensors: Tensors
    index: int

    @property
    def name(self) -> str:
        """What its tensors' names begin with."""
        return f"blk.{self.index}"

    def forward(self, g: Graph) -> None:
        """hidden += attention, then hidden += the MLP."""
        name = self.name
        if self.delta:
            self.delta.forward(g)
        else:
            self.attend(g)
        if self.experts:
            self.experts.forward(g)
            return
        if not self.config.parallel:
            self.widen(g)
        g.add_linear(f"{name}.ffn_down", g.buffers.gated, f"{name}.post_ffw_norm")

    def attend(self, g: Graph) -> None:
        """hidden += attention."""
        name = self.name
        g.project_qkv(f"{name}.qkv", self.index)
        g.attend(self.index, f"{name}.attn_sinks")
        if self.config.parallel:
            self.widen(g)
        g.add_attended(f"{name}.attn_output", f"{name}.post_attention_norm")

    def widen(self, g: Graph) -> None:
        """gated = the MLP's first half."""
        name = self.name
        if not self.config.gated:
            g.activated_linear(f"{name}.ffn_up")
        elif self.gated_at_once:
            g.gated_linear(f"{name}.gate_up")
        else:
            g.gate_linears(f"{name}.ffn_gate", f"{name}.ffn_up")

    def matrices(self) -> list[Matrix]:
        """q, k and v fused, or a delta net's; gate and up."""
        c = self.config
        attention = self.delta.matrices() if self.delta else self.attention_matrices()
        if self.experts:
            return [*attention, *self.experts.matrices()]
        down = self.plain_matrix("ffn_down", c.hidden_size, c.intermediate_size)
        return [*attention, *self.gate_up_matrices(), down]

    def attention_matrices(self) -> list[Matrix]:
        """q, k and v fused; what follows attention."""
        c = self.config
        qkv = self.qkv_parts("weight", c.hidden_size)
        return [
            Matrix(f"{self.name}.qkv", c.qkv_rows, c.hidden_size, qkv),
            self.plain_matrix("attn_output", c.hidden_size, c.n_heads * c.head_dim),
        ]

    @property
    def delta(self) -> DeltaNet | None:
        """What the layer has in the place of attention, if it is of that kind."""
        if not self.config.kind(self.index).delta:
            return None
        from webllm_py.models.delta import DeltaNet  # not before: a page's snapshot is small

        return DeltaNet(self.config, self.tensors, self.name, self.index)

    @property
    def experts(self) -> Experts | None:
        """What the layer has in the place of an MLP, if it has a router."""
        experts = Experts(self.config, self.tensors, self.name)
        has_router = f"{experts.router}.weight" in self.tensors
        return experts if self.config.n_experts and has_router else None

    def plain_matrix(self, name: str, rows: int, columns: int) -> Matrix:
        """A matrix that is one tensor."""
        tensor = self.tensors.shaped(f"{self.name}.{name}.weight", rows, columns)
        return Matrix(f"{self.name}.{name}", rows, columns, (Part(tensor),))

    def qkv_parts(self, kind: str, *columns: int) -> tuple[Part, ...]:
        """q, k and v of one kind (weight or bias), below each other, rotary pairs side by side; and
        then attention's gates, which are stored behind the queries, head by head.

        They are tensors of their own, or one below each other.
        """
        c = self.config
        fused = f"{self.name}.attn_qkv.{kind}"
        parts, base, at = [], 0, 0
        for i, (name, heads) in enumerate(zip("qkv", self.heads, strict=True)):
            rows, run, apart = heads * c.head_dim, 0, 0
            stored_rows = 2 * rows if name == "q" and c.output_gate else rows
            if fused not in self.tensors:
                stored = f"{self.name}.attn_{name}.{kind}"
                tensor, first = self.tensors.shaped(stored, stored_rows, *columns), 0
            else:
                tensor, first = self.tensors.shaped(fused, c.qkv_rows, *columns), at
                if c.qkv_by_head:
                    first, run, apart = i * c.head_dim, c.head_dim, 3 * c.head_dim
            if stored_rows > rows:
                run, apart = c.head_dim, 2 * c.head_dim
            pairs = (1, 2) if name == "v" else self.pairs
            parts.append(Part(tensor, base, 1, *pairs, first, rows, run=run, apart=apart))
            base, at = base + rows, at + stored_rows
        if c.output_gate:
            q = parts[0]
            parts.append(replace(q, base=base, head_dim=1, rotary_dim=2, first=c.head_dim))
        return tuple(parts)

    @property
    def heads(self) -> tuple[int, int, int]:
        """Heads of q, k and v."""
        return self.config.n_heads, self.config.n_kv_heads, self.config.n_kv_heads

    @property
    def pairs(self) -> tuple[int, int]:
        """Head size and rotated part of the heads whose pairs have to be brought together."""
        c = self.config
        return (1, 2) if c.adjacent_pairs else (c.head_dim, c.rotary_dim)

    def gate_up_matrices(self) -> list[Matrix]:
        """Gate and up fused, row by row, if they are stored alike; without a gate, up."""
        c = self.config
        if not c.gated:
            return [self.plain_matrix("ffn_up", c.intermediate_size, c.hidden_size)]
        parts = self.gate_up_parts("weight", c.hidden_size)
        if self.gated_at_once:
            rows = 2 * c.intermediate_size
            return [Matrix(f"{self.name}.gate_up", rows, c.hidden_size, alternating(parts))]
        return [
            Matrix(f"{self.name}.{name}", c.intermediate_size, c.hidden_size, (part,))
            for name, part in zip(("ffn_gate", "ffn_up"), parts, strict=True)
        ]

    def gate_up_parts(self, kind: str, *columns: int) -> tuple[Part, Part]:
        """The gate and the up projection of one kind (weight or bias): tensors of their own, or one
        below the other in the latter's."""
        rows = self.config.intermediate_size
        gate, up = f"{self.name}.ffn_gate.{kind}", f"{self.name}.ffn_up.{kind}"
        fused = self.tensors.get(up) if gate not in self.tensors else None
        if fused and fused.shape[0] == 2 * rows:
            fused = self.tensors.shaped(up, 2 * rows, *columns)
            return Part(fused, first=0, count=rows), Part(fused, first=rows, count=rows)
        return (
            Part(self.tensors.shaped(gate, rows, *columns)),
            Part(self.tensors.shaped(up, rows, *columns)),
        )

    @property
    def gated_at_once(self) -> bool:
        """Whether gate and up are one matrix: their rows alternate, so one format holds both."""
        gate, up = self.gate_up_parts("weight", self.config.hidden_size)
        return gate.tensor.format == up.tensor.format

    def vectors(self) -> list[Vector]:
        """Norm weights and biases, each by the matrix that they go with; norms behind by their own
        names."""
        c = self.config
        made = [
            *(self.delta.vectors() if self.delta else self.attention_vectors()),
            *(self.experts.vectors() if self.experts else self.gate_up_vectors()),
        ]
        for name in ("attn_output", "ffn_down"):
            if biases := self.bias_parts(name, c.hidden_size):
                made.append(Vector(f"{self.name}.{name}", rows=c.hidden_size, biases=biases))
        if c.post_norm:
            for name in ("post_attention_norm", "post_ffw_norm"):
                norm = self.norm_parts(name)
                made.append(Vector(f"{self.name}.{name}", c.hidden_size, norm))
        return made

    def attention_vectors(self) -> list[Vector]:
        """The norm before attention, biases of q, k and v, norms of heads, sinks."""
        c = self.config
        qkv = self.qkv_parts("bias") if self.biased("attn_q", "attn_qkv") else ()
        made = [self.vector("qkv", "attn_norm", c.qkv_rows, qkv)]
        if c.qk_norm:
            made.append(self.qk_norm())
        if c.sinks:
            sinks = self.tensors.shaped(f"{self.name}.attn_sinks.weight", c.n_heads)
            made.append(Vector(f"{self.name}.attn_sinks", rows=c.n_heads, biases=(Part(sinks),)))
        return made

    def biased(self, *names: str) -> bool:
        """Whether one of these has a bias."""
        return any(f"{self.name}.{name}.bias" in self.tensors for name in names)

    def bias_parts(self, name: str, rows: int) -> tuple[Part, ...]:
        """A tensor's bias, if it has one."""
        if not self.biased(name):
            return ()
        return (Part(self.tensors.shaped(f"{self.name}.{name}.bias", rows)),)

    def vector(self, matrix: str, norm: str, rows: int, biases: tuple[Part, ...]) -> Vector:
        """A matrix's: the norm of its input, if that is normed, and biases."""
        parts = self.norm_parts(norm) if self.config.pre_norm else ()
        return Vector(f"{self.name}.{matrix}", self.config.hidden_size, parts, rows, biases)

    def norm_parts(self, name: str) -> tuple[Part, ...]:
        """A norm of hidden rows. A parallel MLP may share attention's; some of GGUF's are called
        after what they follow."""
        if f"{self.name}.{name}.weight" not in self.tensors:
            if self.config.parallel:
                name = "attn_norm"
            elif name == "ffn_norm":
                name = "post_attention_norm"
        return norm_parts(self.config, self.tensors, f"{self.name}.{name}")

    def gate_up_vectors(self) -> list[Vector]:
        """The MLP's norm, and biases of gate and up where a checkpoint has them."""
        rows = self.config.intermediate_size
        if not self.config.gated:
            return [self.vector("ffn_up", "ffn_norm", rows, self.bias_parts("ffn_up", rows))]
        biases = self.gate_up_parts("bias") if self.biased("ffn_gate") else ()
        if self.gated_at_once:
            return [self.vector("gate_up", "ffn_norm", 2 * rows, alternating(biases))]
        return [
            self.vector(name, "ffn_norm", rows, biases[i : i + 1])
            for i, name in enumerate(("ffn_gate", "ffn_up"))
        ]

    def qk_norm(self) -> Vector:
        """The weights of the norms of queries and keys, reordered as these are."""
        c = self.config
        head_dim, rotary_dim = self.pairs
        parts, base = [], 0
        for name, heads in (("attn_q_norm", c.n_heads), ("attn_k_norm", c.n_kv_heads)):
            for weight in self.qk_norm_weights(f"{self.name}.{name}", heads):
                parts.append(Part(weight, base, 1, head_dim, rotary_dim, plus=c.norm_plus))
                base += weight.shape[0]
        return Vector(f"{self.name}.qkv_norm", rows=base, biases=tuple(parts))

    def qk_norm_weights(self, name: str, heads: int) -> list[TensorInfo]:
        """The weights of the norms of queries, or of keys: one tensor, or one a head."""
        c = self.config
        if c.qk_norm != "own":
            size = c.head_dim * (heads if c.qk_norm == "whole" else 1)
            return [self.tensors.shaped(f"{name}.weight", size)]
        if f"{name}.weight" in self.tensors:
            whole = self.tensors.shaped(f"{name}.weight", heads, c.head_dim)
            return [replace(whole, shape=(heads * c.head_dim,))]
        return [self.tensors.shaped(f"{name}.{i}.weight", c.head_dim) for i in range(heads)]


def alternating(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Parts whose rows alternate."""
    return tuple(
        Part(part.tensor, i, len(parts), first=part.first, count=part.count)
        for i, part in enumerate(parts)
    )
