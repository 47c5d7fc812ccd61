"""The ONNX graph of a Llama or Qwen2 decoder, as onnxruntime runs it fastest.

Operators are those of onnxruntime's own domain that its exporters write: matrices in blocks of 4
bits (MatMulNBits), attention with its rotary positions and its cache in one node
(GroupQueryAttention), the residual sum and the norm in one. Queries, keys and values are one
matrix. Logits are computed of the last position only, which is all that generating needs and what
published exports do not do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from .onnx_format import DataType, Graph, Node, Tensor, Value

__all__ = ["BLOCK", "Matrix", "Sizes", "Weights", "decoder_graph"]

BLOCK = 32
# What onnxruntime's exporters set for WebGPU: where it is faster, x is multiplied in 8 bits.
ACCURACY_LEVEL = 4
MICROSOFT = "com.microsoft"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A decoder's hyper-parameters."""

    layers: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    epsilon: float


@dataclass(frozen=True)
class Matrix:
    """A matrix in blocks of 4 bits: constants' names and its size.

    Attributes:
        bias: "" where it has none.
    """

    blocks: str
    scales: str
    rows: int
    columns: int
    bias: str = ""


class Weights(Protocol):
    """Adds a model's weights to a graph as its constants."""

    def table(self) -> Matrix:
        """The token embeddings; (vocabulary, hidden / 2) bytes of two codes."""

    def head(self) -> Matrix:
        """The output layer."""

    def matrix(self, layer: int, *parts: str) -> Matrix:
        """Matrices of a layer, one below the other."""

    def norm(self, name: str) -> str:
        """A norm's weights."""

    def rotation(self) -> tuple[str, str]:
        """Cosines and sines of all positions' angles, each (positions, head_dim / 2)."""


def decoder_graph(graph: Graph, sizes: Sizes, weights: Weights, kind: DataType) -> None:
    """Add a decoder to an empty graph.

    Inputs are input_ids and attention_mask, (batch, tokens) int64, and the past keys and values of
    each layer, (batch, kv_heads, positions, head_dim) of ``kind``; outputs are the present ones and
    logits, (batch, 1, vocab) in float32.
    """
    Decoder(graph, sizes, weights, kind).build()


class Decoder:
    """One graph."""

    def __init__(self, graph: Graph, sizes: Sizes, weights: Weights, kind: DataType):
        self.graph = graph
        self.sizes = sizes
        self.weights = weights
        self.kind = kind

    def build(self) -> None:
        """All of it."""
        self.inputs_and_outputs()
        self.lengths()
        cosines, sines = self.weights.rotation()
        table = self.weights.table()
        x = self.add(
            "GatherBlockQuantized",
            [table.blocks, "input_ids", table.scales],
            "embedded",
            gather_axis=0,
            quantize_axis=1,
            block_size=BLOCK,
            bits=4,
        )
        residual = ""
        for i in range(self.sizes.layers):
            x, residual = self.normed(x, residual, f"blk.{i}.attn_norm")
            qkv = self.times(x, self.weights.matrix(i, "attn_q", "attn_k", "attn_v"), f"{i}.qkv")
            attended = self.attention(i, qkv, cosines, sines)
            x = self.times(attended, self.weights.matrix(i, "attn_output"), f"{i}.attention")
            x, residual = self.normed(x, residual, f"blk.{i}.ffn_norm")
            x = self.feed_forward(i, x)
        x, _ = self.normed(x, residual, "output_norm")
        self.constant("last", DataType.INT64, (1,), (-1).to_bytes(8, "little", signed=True))
        x = self.add("Gather", [x, "last"], "last_hidden", "", axis=1)
        logits = self.times(x, self.weights.head(), "logits_as_computed")
        self.add("Cast", [logits], "logits", "", to=int(DataType.FLOAT))

    def inputs_and_outputs(self) -> None:
        """What transformers.js gives and takes, by the names that it knows."""
        sizes, graph = self.sizes, self.graph
        ids = ("batch_size", "sequence_length")
        mask = ("batch_size", "total_sequence_length")
        graph.inputs += [
            Value("input_ids", DataType.INT64, ids),
            Value("attention_mask", DataType.INT64, mask),
        ]
        graph.outputs.append(Value("logits", DataType.FLOAT, ("batch_size", 1, sizes.vocab)))
        for i in range(sizes.layers):
            for part in ("key", "value"):
                for values, name, length in (
                    (graph.inputs, "past_key_values", "past_sequence_length"),
                    (graph.outputs, "present", "total_sequence_length"),
                ):
                    shape = ("batch_size", sizes.kv_heads, length, sizes.head_dim)
                    values.append(Value(f"{name}.{i}.{part}", self.kind, shape))

    def lengths(self) -> None:
        """Each sequence's last position, and the length of all of them, from the mask."""
        one = (1).to_bytes(8, "little")
        self.constant("axis", DataType.INT64, (1,), one)
        self.constant("one", DataType.INT64, (), one)
        self.add("ReduceSum", ["attention_mask", "axis"], "real_lengths", "", keepdims=0)
        self.add("Sub", ["real_lengths", "one"], "last_positions_64", "")
        self.add("Cast", ["last_positions_64"], "last_positions", "", to=int(DataType.INT32))
        self.add("Shape", ["attention_mask"], "mask_shape", "")
        self.add("Gather", ["mask_shape", "one"], "total_length_64", "", axis=0)
        self.add("Cast", ["total_length_64"], "total_length", "", to=int(DataType.INT32))

    def normed(self, x: str, residual: str, name: str) -> tuple[str, str]:
        """The norm of what a layer's half adds to the residual stream, and the stream."""
        weight, epsilon = self.weights.norm(name), self.sizes.epsilon
        if not residual:
            fields = {"axis": -1, "epsilon": epsilon, "stash_type": 1}
            return self.add("SimplifiedLayerNormalization", [x, weight], name, "", **fields), x
        node = Node(
            "SkipSimplifiedLayerNormalization",
            [x, residual, weight],
            [name, "", "", f"{name}.sum"],
            {"epsilon": epsilon},
            MICROSOFT,
        )
        self.graph.nodes.append(node)
        return name, f"{name}.sum"

    def attention(self, layer: int, qkv: str, cosines: str, sines: str) -> str:
        """Attention over the past and this step's positions."""
        sizes = self.sizes
        past = [f"past_key_values.{layer}.{part}" for part in ("key", "value")]
        present = [f"present.{layer}.{part}" for part in ("key", "value")]
        node = Node(
            "GroupQueryAttention",
            [qkv, "", "", *past, "last_positions", "total_length", cosines, sines],
            [f"{layer}.attended", *present],
            {
                "num_heads": sizes.heads,
                "kv_num_heads": sizes.kv_heads,
                "scale": 1 / math.sqrt(sizes.head_dim),
                "do_rotary": 1,
                "rotary_interleaved": 0,
            },
            MICROSOFT,
        )
        self.graph.nodes.append(node)
        return f"{layer}.attended"

    def feed_forward(self, layer: int, x: str) -> str:
        """SwiGLU, in the form that onnxruntime fuses."""
        gate = self.times(x, self.weights.matrix(layer, "ffn_gate"), f"{layer}.gate")
        up = self.times(x, self.weights.matrix(layer, "ffn_up"), f"{layer}.up")
        self.add("Sigmoid", [gate], f"{layer}.sigmoid", "")
        self.add("Mul", [gate, f"{layer}.sigmoid"], f"{layer}.silu", "")
        self.add("Mul", [f"{layer}.silu", up], f"{layer}.gated", "")
        down = self.weights.matrix(layer, "ffn_down")
        return self.times(f"{layer}.gated", down, f"{layer}.down")

    def times(self, x: str, matrix: Matrix, name: str) -> str:
        """x times a matrix, transposed, plus its bias."""
        inputs = [x, matrix.blocks, matrix.scales]
        return self.add(
            "MatMulNBits",
            [*inputs, "", "", matrix.bias] if matrix.bias else inputs,
            name,
            K=matrix.columns,
            N=matrix.rows,
            bits=4,
            block_size=BLOCK,
            accuracy_level=ACCURACY_LEVEL,
        )

    def add(
        self,
        operator: str,
        inputs: list[str],
        output: str,
        domain: str = MICROSOFT,
        **attributes: int | float,
    ) -> str:
        """A node of one output; that one's name."""
        self.graph.nodes.append(Node(operator, inputs, [output], attributes, domain))
        return output

    def constant(self, name: str, type: DataType, shape: tuple[int, ...], data: bytes) -> None:
        """A small constant."""
        self.graph.constants.append(Tensor(name, type, shape, data))
