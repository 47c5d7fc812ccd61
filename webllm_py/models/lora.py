"""Low-rank adapters (LoRA, arXiv 2106.09685): which rows of which matrix each of them adds to."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webllm_py.errors import AdapterError
from webllm_py.gpu.device import Buffer
from webllm_py.models.families import family_of
from webllm_py.models.names import gguf_stem
from webllm_py.models.recurrence import DeltaConfig
from webllm_py.models.weights import Matrix

if TYPE_CHECKING:
    from webllm_py.checkpoint.adapter import Adapter, Pair
    from webllm_py.models.transformer import Transformer

__all__ = ["LowRank", "RowOrder", "Rows", "Segment", "segments_of"]

# Of a delta net, in the order of the matrix that projects in; and the one that projects out.
DELTA = ("attn_qkv", "attn_gate", "ssm_alpha", "ssm_beta", "ssm_out")
BESIDE = "_shexp"  # of the MLP beside a mixture
# Matrices of their own, whose rows keep their order.
WHOLE = ("attn_output", "ffn_down", "shortconv.in_proj", "shortconv.out_proj")
STEM = re.compile(r"blk\.(\d+)\.([\w.]+)")


@dataclass(frozen=True)
class LowRank:
    """The adapters beside a matrix on the GPU, all that are loaded.

    Attributes:
        buffer: in the place of the matrix's vector; see kernels/linear/finish_lora.wgsl.
        at: where they begin, in vec4.
        quads: of ranks.
        rows: of x whose first half there is room for.
    """

    buffer: Buffer
    at: int
    quads: int
    rows: int


@dataclass(frozen=True)
class Rows:
    """Rows of a tensor in the order that a matrix has them, see ``models.weights.Part``."""

    first: int
    count: int
    head_dim: int = 1
    rotary_dim: int = 2
    run: int = 0
    apart: int = 0

    def indices(self) -> list[int]:
        """The tensor's row for each of the matrix's."""
        half = self.rotary_dim // 2
        found = []
        for i in range(self.count):
            d = i % self.head_dim
            row = i - d + d // 2 + half * (d % 2) if d < self.rotary_dim else i
            found.append(
                self.first + (row // self.run * self.apart + row % self.run if self.run else row)
            )
        return found


@dataclass(frozen=True)
class RowOrder:
    """B's rows in a matrix's order: some below each other, or two that alternate."""

    rows: tuple[Rows, ...]
    alternating: bool = False

    def indices(self) -> list[int]:
        """B's row for each of the matrix's."""
        lists = [rows.indices() for rows in self.rows]
        if self.alternating:
            return [index for pair in zip(*lists, strict=True) for index in pair]
        return [index for one in lists for index in one]

    @property
    def count(self) -> int:
        """How many."""
        return sum(rows.count for rows in self.rows)


@dataclass(frozen=True)
class Segment:
    """A pair beside rows of a matrix.

    Attributes:
        matrix: its name.
        first: the first of the rows, a multiple of 4.
        spread: 0: all rows from there on; 1: the even rows, 2: the odd ones.
    """

    matrix: str
    pair: Pair
    order: RowOrder
    first: int = 0
    spread: int = 0


def segments_of(model: Transformer, adapter: Adapter) -> list[Segment]:
    """What an adapter adds to a model's matrices.

    Raises:
        AdapterError: it was trained for another architecture, for modules that the model does not
            have or that adapters are not run beside, or for matrices of another shape.
    """
    own, theirs = model.config.architecture, adapter.architecture
    family = family_of(own)
    if theirs is not None and family_of(theirs) is not family:
        raise AdapterError(
            f"the adapter {adapter.name} was trained for {theirs}, and this model is {own}"
        )
    if adapter.vocab_size not in (None, model.config.vocab_size):
        raise AdapterError(
            f"the adapter {adapter.name} is of another model: its vocabulary has "
            f"{adapter.vocab_size:,} tokens, and this model's {model.config.vocab_size:,}"
        )
    matrices = {matrix.name: matrix for matrix in model.matrices()}
    found = []
    for module, pair in adapter.pairs.items():
        stem = module if adapter.gguf else gguf_stem(module, family.names)
        placed = Placing(model, matrices, adapter, module, pair).segments(stem)
        found += placed
    return found


@dataclass(frozen=True)
class Placing:
    """Finds the places of one pair."""

    model: Transformer
    matrices: dict[str, Matrix]
    adapter: Adapter
    module: str
    pair: Pair

    def segments(self, stem: str) -> list[Segment]:
        """The segments of an adapter's pair for the module of a GGUF name."""
        match = STEM.fullmatch(stem)
        layer, kind = (f"blk.{match[1]}.", match[2]) if match else ("", stem)
        config = self.model.config
        recurrence = match and config.kind(int(match[1])).recurrent and config.recurrence
        if isinstance(recurrence, DeltaConfig) and kind in DELTA:
            return [self.delta(layer, kind, recurrence)]
        if kind in ("attn_q", "attn_k", "attn_v", "attn_qkv"):
            return self.attention(f"{layer}qkv", kind)
        if kind.removesuffix(BESIDE) in ("ffn_gate", "ffn_up"):
            return self.gate_up(layer, kind)
        if kind.removesuffix(BESIDE) in WHOLE:
            return [self.whole(layer + kind)]
        if stem == "output":
            return [self.whole("token_embd" if self.model.tied else "output")]
        raise self.unknown()

    def whole(self, name: str) -> Segment:
        """All rows of a matrix, in their order."""
        matrix = self.checked(name)
        return Segment(name, self.pair, self.order(Rows(0, matrix.rows)))

    def delta(self, layer: str, kind: str, d: DeltaConfig) -> Segment:
        """Rows of what a delta net projects to, or its projection back.

        Raises:
            AdapterError: the model's file has heads of values in another order than the adapter.
        """
        if d.tiled != self.adapter.gguf and d.k_heads != d.v_heads:
            raise AdapterError(
                f"the adapter {self.adapter.name} is for {self.module}, whose heads GGUF has in "
                "another order than Hugging Face: take both files from one of them"
            )
        if kind == "ssm_out":
            return self.whole(layer + kind)
        self.checked(f"{layer}delta_in")
        counts = dict(zip(DELTA, (d.channels, d.width, d.v_heads, d.v_heads), strict=False))
        first = sum(counts[other] for other in DELTA[: DELTA.index(kind)])
        if first % 4:
            raise self.unknown()
        order = self.order(Rows(0, counts[kind]))
        return Segment(f"{layer}delta_in", self.pair, order, first)

    def gated_queries(self, name: str, queries: Rows) -> list[Segment]:
        """Rows of queries, and of the gates that stand behind each head's."""
        c = self.model.config
        apart = {"run": c.head_dim, "apart": 2 * c.head_dim}
        gates = Rows(c.head_dim, queries.count, **apart)
        behind = c.qkv_rows - queries.count
        both = 2 * queries.count
        return [
            Segment(name, self.pair, self.fitting(RowOrder((replace(queries, **apart),)), both)),
            Segment(name, self.pair, self.fitting(RowOrder((gates,)), both), behind),
        ]

    def attention(self, name: str, kind: str) -> list[Segment]:
        """Rows of q, k or v, or of all three."""
        self.checked(name)
        parts = self.qkv_rows(kind == "attn_qkv")
        if self.model.config.output_gate and kind == "attn_q":
            return self.gated_queries(name, parts[0])
        if kind == "attn_qkv":
            return [Segment(name, self.pair, self.order(*parts))]
        index = ("attn_q", "attn_k", "attn_v").index(kind)
        first = sum(rows.count for rows in parts[:index])
        return [Segment(name, self.pair, self.order(parts[index]), first)]

    def qkv_rows(self, fused: bool) -> list[Rows]:
        """The rows of q, k and v, from one B with all of them or from one each.

        The adapter's rows have the order of its own kind of file, whatever kind the model's is.
        """
        c, family = self.model.config, family_of(self.model.config.architecture)
        kind = "gguf" if self.adapter.gguf else "huggingface"
        adjacent = kind in family.adjacent_in
        by_head = fused and family.by_head and not self.adapter.gguf
        found, first = [], 0
        for i, heads in enumerate((c.n_heads, c.n_kv_heads, c.n_kv_heads)):
            pairs = (1, 2) if adjacent or i == 2 else (c.head_dim, c.rotary_dim)
            rows = heads * c.head_dim
            if by_head:
                found.append(
                    Rows(i * c.head_dim, rows, *pairs, run=c.head_dim, apart=3 * c.head_dim)
                )
            else:
                found.append(Rows(first if fused else 0, rows, *pairs))
            first += rows
        return found

    def gate_up(self, layer: str, kind: str) -> list[Segment]:
        """Rows of the gate, of what it gates, or of both, one below the other."""
        c, suffix = self.model.config, BESIDE if kind.endswith(BESIDE) else ""
        kind = kind.removesuffix(suffix)
        rows = c.beside_size if suffix else c.intermediate_size
        both = kind == "ffn_up" and self.pair.b.shape[0] == 2 * rows and c.gated
        gate, up = Rows(0, rows), Rows(rows if both else 0, rows)
        if f"{layer}gate_up{suffix}" in self.matrices:
            name = self.checked(f"{layer}gate_up{suffix}").name
            if both:
                order = RowOrder((gate, up), alternating=True)
                return [Segment(name, self.pair, self.fitting(order))]
            spread = 1 if kind == "ffn_gate" else 2
            return [Segment(name, self.pair, self.order(gate), spread=spread)]
        if not both:
            return [self.whole(f"{layer}{kind}{suffix}")]
        names = (self.checked(f"{layer}{name}{suffix}").name for name in ("ffn_gate", "ffn_up"))
        return [
            Segment(name, self.pair, self.fitting(RowOrder((part,)), 2 * rows))
            for name, part in zip(names, (gate, up), strict=True)
        ]

    def checked(self, name: str) -> Matrix:
        """A matrix that the pair is to fit.

        Raises:
            AdapterError: there is none, or its rows have another length.
        """
        matrix = self.matrices.get(name)
        if matrix is None or matrix.together > 1:
            raise self.unknown()
        if self.pair.a.shape[1] != matrix.columns:
            raise AdapterError(
                f"the adapter {self.adapter.name} is of another model: {self.module} takes "
                f"{self.pair.a.shape[1]} numbers there, and {matrix.columns} here"
            )
        return matrix

    def order(self, *rows: Rows) -> RowOrder:
        """B's rows below each other."""
        return self.fitting(RowOrder(rows))

    def fitting(self, order: RowOrder, count: int | None = None) -> RowOrder:
        """Raise AdapterError unless B has ``count`` rows, or as many as the order."""
        wanted = count or order.count
        if self.pair.b.shape[0] != wanted:
            raise AdapterError(
                f"the adapter {self.adapter.name} is of another model: {self.module} gives "
                f"{self.pair.b.shape[0]} numbers there, and {wanted} here"
            )
        return order

    def unknown(self) -> AdapterError:
        """The error of a module that no adapter is run beside."""
        return AdapterError(
            f"the adapter {self.adapter.name} is for {self.module}: this model has no such linear "
            "layer, or it is one that adapters are not run beside (embeddings, norms, experts)"
        )
