"""Llama and the families that share its shape: RMSNorm, rotary attention, a gated MLP.

LLaMA (arXiv 2302.13971), Llama 2 (2307.09288), Llama 3 (2407.21783); Qwen2 (2407.10671) adds
biases to q, k and v, which are found by their tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.config import ModelConfig
from webllm_py.models.graph import Graph
from webllm_py.models.weights import Matrix, Part, Vector

__all__ = ["Llama"]


@dataclass(frozen=True)
class Llama:
    """A decoder's declaration: which tensors make which matrices, and the pass over them."""

    config: ModelConfig
    tensors: Mapping[str, TensorInfo]

    def __post_init__(self) -> None:
        expected = {part.tensor.name for m in self.matrices() for part in m.parts}
        for vector in self.vectors():
            expected |= {part.tensor.name for part in vector.biases}
            if vector.norm:
                expected.add(vector.norm.name)
        unknown = sorted(
            name for name, t in self.tensors.items() if t.name not in expected and name != ROPE
        )
        if unknown:
            raise UnsupportedModelError(
                f"the checkpoint has {len(unknown)} tensors that {self.config.architecture} models "
                f"do not use ({', '.join(unknown[:3])}{', ...' if len(unknown) > 3 else ''}): "
                "it is of another architecture than it says, or a newer variant"
            )

    def tensor(self, name: str, *shape: int) -> TensorInfo:
        """A tensor, checked against the shape that the config asks for."""
        tensor = self.tensors.get(name)
        if tensor is None:
            raise CorruptCheckpointError(f"the checkpoint lacks the tensor {name}")
        if tensor.shape != shape:
            raise CorruptCheckpointError(
                f"the tensor {name} has shape {tensor.shape}; the checkpoint's own numbers ask for "
                f"{shape}"
            )
        return tensor

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors, as the file stores them."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def n_parameters(self) -> int:
        """Numbers in its tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())

    @property
    def formats(self) -> dict[str, int]:
        """Bytes of its tensors by the format that stores them, the most first."""
        sizes: dict[str, int] = {}
        for tensor in self.tensors.values():
            sizes[tensor.format.name] = sizes.get(tensor.format.name, 0) + tensor.nbytes
        return dict(sorted(sizes.items(), key=lambda item: -item[1]))

    @property
    def tied(self) -> bool:
        """Whether one table serves as embedding and output layer."""
        return not {"token_embd.weight", "output.weight"} <= set(self.tensors)

    def matrices(self) -> list[Matrix]:
        """Every matrix, in the order of the pass."""
        c = self.config
        vocab = (c.vocab_size, c.hidden_size)
        embedding = "token_embd.weight" if "token_embd.weight" in self.tensors else "output.weight"
        made = [Matrix("token_embd", *vocab, (Part(self.tensor(embedding, *vocab)),))]
        for i in range(c.n_layers):
            made += self.layer_matrices(f"blk.{i}")
        if not self.tied:
            made.append(Matrix("output", *vocab, (Part(self.tensor("output.weight", *vocab)),)))
        return made

    def layer_matrices(self, layer: str) -> list[Matrix]:
        """One layer's: q, k and v fused; gate and up."""
        c = self.config
        qkv = self.qkv_parts(layer, "weight", c.hidden_size)
        return [
            Matrix(f"{layer}.qkv", self.qkv_rows, c.hidden_size, qkv),
            self.plain_matrix(layer, "attn_output", c.hidden_size, c.n_heads * c.head_dim),
            *self.gate_up_matrices(layer),
            self.plain_matrix(layer, "ffn_down", c.hidden_size, c.intermediate_size),
        ]

    def gate_up_matrices(self, layer: str) -> list[Matrix]:
        """Gate and up fused, row by row, if they are stored alike."""
        c = self.config
        if self.gated_at_once(layer):
            gate, up = self.gate_and_up(layer, "weight", c.hidden_size)
            parts = (Part(gate, 0, 2), Part(up, 1, 2))
            return [Matrix(f"{layer}.gate_up", 2 * c.intermediate_size, c.hidden_size, parts)]
        return [
            self.plain_matrix(layer, name, c.intermediate_size, c.hidden_size)
            for name in ("ffn_gate", "ffn_up")
        ]

    def gate_and_up(self, layer: str, kind: str, *columns: int) -> tuple[TensorInfo, TensorInfo]:
        """The MLP's two tensors of one kind (weight or bias)."""
        rows = self.config.intermediate_size
        gate, up = (
            self.tensor(f"{layer}.{name}.{kind}", rows, *columns) for name in ("ffn_gate", "ffn_up")
        )
        return gate, up

    def gated_at_once(self, layer: str) -> bool:
        """Whether gate and up are one matrix: their rows alternate, so one format holds both."""
        gate, up = self.gate_and_up(layer, "weight", self.config.hidden_size)
        return gate.format == up.format

    def plain_matrix(self, layer: str, name: str, rows: int, columns: int) -> Matrix:
        """A matrix that is one tensor."""
        tensor = self.tensor(f"{layer}.{name}.weight", rows, columns)
        return Matrix(f"{layer}.{name}", rows, columns, (Part(tensor),))

    @property
    def qkv_rows(self) -> int:
        c = self.config
        return (c.n_heads + 2 * c.n_kv_heads) * c.head_dim

    def qkv_parts(self, layer: str, kind: str, *columns: int) -> tuple[Part, ...]:
        """q, k and v of one kind (weight or bias), below each other, rotary pairs side by side."""
        c = self.config
        parts, base = [], 0
        for name, heads in (("q", c.n_heads), ("k", c.n_kv_heads), ("v", c.n_kv_heads)):
            tensor = self.tensor(f"{layer}.attn_{name}.{kind}", heads * c.head_dim, *columns)
            if name == "v" or c.adjacent_pairs:
                parts.append(Part(tensor, base))
            else:
                parts.append(Part(tensor, base, 1, c.head_dim, c.rotary_dim))
            base += heads * c.head_dim
        return tuple(parts)

    def vectors(self) -> list[Vector]:
        """Norm weights and biases, each by the matrix that they go with."""
        c = self.config
        made = []
        for i in range(c.n_layers):
            layer = f"blk.{i}"
            biased = f"{layer}.attn_q.bias" in self.tensors
            made += [
                Vector(
                    f"{layer}.qkv",
                    c.hidden_size,
                    self.tensor(f"{layer}.attn_norm.weight", c.hidden_size),
                    self.qkv_rows,
                    self.qkv_parts(layer, "bias") if biased else (),
                ),
                *self.gate_up_vectors(layer),
            ]
            for name in ("attn_output", "ffn_down"):
                if f"{layer}.{name}.bias" in self.tensors:
                    bias = self.tensor(f"{layer}.{name}.bias", c.hidden_size)
                    made.append(Vector(f"{layer}.{name}", rows=c.hidden_size, biases=(Part(bias),)))
        norm = self.tensor("output_norm.weight", c.hidden_size)
        made.append(Vector("token_embd" if self.tied else "output", c.hidden_size, norm))
        return made

    def gate_up_vectors(self, layer: str) -> list[Vector]:
        """The MLP's norm, and biases of gate and up where a checkpoint has them."""
        c = self.config
        norm = self.tensor(f"{layer}.ffn_norm.weight", c.hidden_size)
        biased = f"{layer}.ffn_gate.bias" in self.tensors
        biases = self.gate_and_up(layer, "bias") if biased else ()
        if self.gated_at_once(layer):
            parts = tuple(Part(bias, i, 2) for i, bias in enumerate(biases))
            return [Vector(f"{layer}.gate_up", c.hidden_size, norm, 2 * c.intermediate_size, parts)]
        return [
            Vector(
                f"{layer}.{name}",
                c.hidden_size,
                norm,
                c.intermediate_size,
                tuple(Part(bias) for bias in biases[i : i + 1]),
            )
            for i, name in enumerate(("ffn_gate", "ffn_up"))
        ]

    def rope_factors(self) -> TensorInfo | None:
        """Divisors of the rotary frequencies that the file itself carries (Llama 3.1's GGUF)."""
        if ROPE not in self.tensors:
            return None
        return self.tensor(ROPE, self.config.rotary_dim // 2)

    def forward(self, g: Graph) -> None:
        """Tokens to hidden rows."""
        g.embed("token_embd")
        for i in range(self.config.n_layers):
            g.project_qkv(f"blk.{i}.qkv", i)
            g.add_attention(f"blk.{i}.attn_output", i)
            if self.gated_at_once(f"blk.{i}"):
                g.gated_linear(f"blk.{i}.gate_up")
            else:
                g.gate_linears(f"blk.{i}.ffn_gate", f"blk.{i}.ffn_up")
            g.add_linear(f"blk.{i}.ffn_down", g.buffers.gated)

    def head(self, g: Graph) -> None:
        """Hidden rows to logits."""
        g.output("token_embd" if self.tied else "output")


ROPE = "rope_freqs.weight"
