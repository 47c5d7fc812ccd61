"""BERT and the encoders of its shape: learned positions, attention both ways, norms after sums.

BERT (arXiv 1810.04805), RoBERTa (1907.11692), XLM-R (1911.02116); as text embedders Sentence-BERT
(1908.10084), MiniLM, BGE, E5 and Arctic-Embed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from webllm_py.checkpoint.checkpoint import Checkpoint, TensorInfo
from webllm_py.models.bert_config import BertConfig, bert_config_of
from webllm_py.models.declaration import Declaration
from webllm_py.models.encoder import EncoderGraph
from webllm_py.models.names import gguf_names
from webllm_py.models.weights import Matrix, Part, Vector

__all__ = ["Bert", "encoder_for"]

BERT_NAMES: Mapping[str, str] = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "encoder.layer.{}.attention.self.query": "blk.{}.attn_q",
    "encoder.layer.{}.attention.self.key": "blk.{}.attn_k",
    "encoder.layer.{}.attention.self.value": "blk.{}.attn_v",
    "encoder.layer.{}.attention.self.qkv": "blk.{}.attn_qkv",  # MLC's
    "encoder.layer.{}.attention.output.dense": "blk.{}.attn_output",
    "encoder.layer.{}.attention.output.LayerNorm": "blk.{}.attn_output_norm",
    "encoder.layer.{}.intermediate.dense": "blk.{}.ffn_up",
    "encoder.layer.{}.output.dense": "blk.{}.ffn_down",
    "encoder.layer.{}.output.LayerNorm": "blk.{}.layer_output_norm",
}
TOKEN_TYPES = "token_types.weight"
# Heads of training, and constants: no part of a text's vector.
UNUSED = re.compile(r"(pooler|cls|lm_head|classifier)\.|embeddings\.(position_ids|token_type_ids)$")


def encoder_for(checkpoint: Checkpoint) -> Bert:
    """The declaration of a checkpoint's encoder, its tensors checked against its config.

    Raises:
        UnsupportedModelError: an option that this version does not run.
        CorruptCheckpointError: hyper-parameters or tensors that contradict each other.
    """
    tensors = dict(checkpoint.tensors)
    if checkpoint.kind != "gguf":
        prefix = re.compile(r"^(bert|roberta)\.")
        inner = {prefix.sub("", name): tensor for name, tensor in tensors.items()}
        used = {name: tensor for name, tensor in inner.items() if not UNUSED.match(name)}
        tensors = gguf_names(used, BERT_NAMES)
    types = tensors.get(TOKEN_TYPES)
    if types and len(types.shape) == 1:  # a table of one row, whose first dimension was dropped
        tensors[TOKEN_TYPES] = replace(types, shape=(1, *types.shape))
    return Bert(bert_config_of(checkpoint, tensors), tensors)


@dataclass(frozen=True)
class Bert(Declaration):
    """An encoder's declaration: which tensors make which matrices, and the pass over them."""

    config: BertConfig
    tensors: Mapping[str, TensorInfo]

    def __post_init__(self) -> None:
        self.check_all_used(self.config.architecture)

    def matrices(self) -> list[Matrix]:
        """Every matrix, in the order of the pass."""
        c = self.config
        tables = (
            ("token_embd", c.vocab_size),
            ("position_embd", c.n_positions),
            ("token_types", c.n_types),
        )
        made = [self.plain_matrix(name, rows, c.hidden_size) for name, rows in tables]
        for i in range(c.n_layers):
            layer = f"blk.{i}"
            made += [
                Matrix(f"{layer}.qkv", 3 * c.hidden_size, c.hidden_size, self.qkv(layer, "weight")),
                self.plain_matrix(f"{layer}.attn_output", c.hidden_size, c.hidden_size),
                self.plain_matrix(f"{layer}.ffn_up", c.intermediate_size, c.hidden_size),
                self.plain_matrix(f"{layer}.ffn_down", c.hidden_size, c.intermediate_size),
            ]
        return made

    def plain_matrix(self, name: str, rows: int, columns: int) -> Matrix:
        """A matrix that is one tensor."""
        return Matrix(
            name, rows, columns, (Part(self.checked.shaped(f"{name}.weight", rows, columns)),)
        )

    def qkv(self, layer: str, kind: str) -> tuple[Part, ...]:
        """q, k and v of one kind (weight or bias), below each other; or one tensor of all."""
        hidden = self.config.hidden_size
        shape = (hidden, hidden) if kind == "weight" else (hidden,)
        if f"{layer}.attn_qkv.{kind}" in self.tensors:
            return (Part(self.checked.shaped(f"{layer}.attn_qkv.{kind}", 3 * hidden, *shape[1:])),)
        return tuple(
            Part(self.checked.shaped(f"{layer}.attn_{name}.{kind}", *shape), i * hidden)
            for i, name in enumerate("qkv")
        )

    def vectors(self) -> list[Vector]:
        """Biases by the matrix that they go with; norms by their own names."""
        c = self.config
        made = [self.norm("token_embd_norm")]
        for i in range(c.n_layers):
            layer = f"blk.{i}"
            made += [
                Vector(f"{layer}.qkv", rows=3 * c.hidden_size, biases=self.qkv(layer, "bias")),
                self.bias(f"{layer}.attn_output", c.hidden_size),
                self.norm(f"{layer}.attn_output_norm"),
                self.bias(f"{layer}.ffn_up", c.intermediate_size),
                self.bias(f"{layer}.ffn_down", c.hidden_size),
                self.norm(f"{layer}.layer_output_norm"),
            ]
        return made

    def bias(self, name: str, rows: int) -> Vector:
        """A matrix's bias."""
        return Vector(name, rows=rows, biases=(Part(self.checked.shaped(f"{name}.bias", rows)),))

    def norm(self, name: str) -> Vector:
        """A LayerNorm: its weight and its bias."""
        hidden = self.config.hidden_size
        parts = (Part(self.checked.shaped(f"{name}.{kind}", hidden)) for kind in ("weight", "bias"))
        return Vector(name, hidden, tuple(parts))

    def forward(self, g: EncoderGraph) -> None:
        """Tokens to one vector a text."""
        g.embed("token_embd", "position_embd", "token_types")
        g.norm("token_embd_norm", g.buffers.summed, g.buffers.hidden)
        for i in range(self.config.n_layers):
            layer = f"blk.{i}"
            g.attend(f"{layer}.qkv", g.buffers.hidden)
            g.add_linear(f"{layer}.attn_output", g.buffers.summed, g.buffers.hidden)
            g.norm(f"{layer}.attn_output_norm", g.buffers.hidden, g.buffers.summed)
            g.widen(f"{layer}.ffn_up", "gelu")
            g.add_linear(f"{layer}.ffn_down", g.buffers.inner, g.buffers.summed)
            g.norm(f"{layer}.layer_output_norm", g.buffers.summed, g.buffers.hidden)
        g.pool()
