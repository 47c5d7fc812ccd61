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
from webllm_py.models.mlp import MLP
from webllm_py.models.recurrence import ShortConvConfig
from webllm_py.models.tensors import Tensors, bias_parts, norm_parts
from webllm_py.models.weights import Matrix, Part, Vector

if TYPE_CHECKING:
    from webllm_py.models.recurrent import RecurrentLayer

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
        if self.recurrent:
            self.recurrent.forward(g)
        else:
            self.attend(g)
        if self.experts:
            self.experts.forward(g)
            return
        if not self.config.parallel:
            self.mlp.widen(g, g.buffers.gated)
        self.mlp.add(g, g.buffers.gated)

    def attend(self, g: Graph) -> None:
        """hidden += attention."""
        name = self.name
        g.project_qkv(f"{name}.qkv", self.index)
        g.attend(self.index, f"{name}.attn_sinks")
        if self.config.parallel:
            self.mlp.widen(g, g.buffers.gated)
        g.add_attended(f"{name}.attn_output", f"{name}.post_attention_norm")

    def matrices(self) -> list[Matrix]:
        """Those of attention or what keeps a state; those of an MLP or a mixture."""
        recurrent = self.recurrent
        attention = recurrent.matrices() if recurrent else self.attention_matrices()
        return [*attention, *(self.experts or self.mlp).matrices()]

    def attention_matrices(self) -> list[Matrix]:
        """q, k and v fused; what follows attention."""
        c = self.config
        qkv = self.qkv_parts("weight", c.hidden_size)
        name, columns = f"{self.name}.attn_output", c.n_heads * c.head_dim
        output = Part(self.tensors.shaped(f"{name}.weight", c.hidden_size, columns))
        return [
            Matrix(f"{self.name}.qkv", c.qkv_rows, c.hidden_size, qkv),
            Matrix(name, c.hidden_size, columns, (output,)),
        ]

    @property
    def recurrent(self) -> RecurrentLayer | None:
        """What the layer has in the place of attention, if it keeps a state."""
        if not self.config.kind(self.index).recurrent:
            return None
        made = self.config, self.tensors, self.name, self.index
        # Not imported before: a page's snapshot is small.
        if isinstance(self.config.recurrence, ShortConvConfig):
            from webllm_py.models.short_conv import ShortConv

            return ShortConv(*made)
        from webllm_py.models.delta import DeltaNet

        return DeltaNet(*made)

    @property
    def experts(self) -> Experts | None:
        """What the layer has in the place of an MLP, if it has a router."""
        experts = Experts(self.config, self.tensors, self.name)
        has_router = f"{experts.router}.weight" in self.tensors
        return experts if self.config.n_experts and has_router else None

    @property
    def mlp(self) -> MLP:
        """What it has in a mixture's place."""
        return MLP(self.config, self.tensors, self.name, self.config.intermediate_size)

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

    def vectors(self) -> list[Vector]:
        """Norm weights and biases, each by the matrix that they go with; norms behind by their own
        names."""
        c = self.config
        made = [
            *(self.recurrent.vectors() if self.recurrent else self.attention_vectors()),
            *(self.experts or self.mlp).vectors(),
        ]
        if c.post_norm:
            for name in ("post_attention_norm", "post_ffw_norm"):
                behind = f"{self.name}.{name}"
                norm = norm_parts(c, self.tensors, behind)
                made.append(Vector(behind, c.hidden_size, norm))
        return made

    def attention_vectors(self) -> list[Vector]:
        """The norm before attention, biases, norms of heads, sinks."""
        c = self.config
        output = f"{self.name}.attn_output"
        qkv = self.qkv_parts("bias") if self.biased("attn_q", "attn_qkv") else ()
        norm = norm_parts(c, self.tensors, f"{self.name}.attn_norm") if c.pre_norm else ()
        made = [Vector(f"{self.name}.qkv", c.hidden_size, norm, c.qkv_rows, qkv)]
        if biases := bias_parts(self.tensors, output, c.hidden_size):
            made.append(Vector(output, rows=c.hidden_size, biases=biases))
        if c.qk_norm:
            made.append(self.qk_norm())
        if c.sinks:
            sinks = self.tensors.shaped(f"{self.name}.attn_sinks.weight", c.n_heads)
            made.append(Vector(f"{self.name}.attn_sinks", rows=c.n_heads, biases=(Part(sinks),)))
        return made

    def biased(self, *names: str) -> bool:
        """Whether one of these has a bias."""
        return any(f"{self.name}.{name}.bias" in self.tensors for name in names)

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
