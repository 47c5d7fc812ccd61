"""An encoder's pass, written down as dispatches: texts of any lengths one behind the other.

Nothing is padded and nothing cached, and every linear layer is a GEMM whatever the number of rows:
what comes out for a text does not depend on the texts beside it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import padded
from webllm_py.models.bert_config import BertConfig
from webllm_py.models.linear import Linear
from webllm_py.models.step import ROWS_AT, Row, StepLayout
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Weights

__all__ = ["ROWS_A_TILE", "EncoderBuffers", "EncoderGraph", "PackedTexts", "tiles_of"]

# Queries of a workgroup of kernels/attention_encoder.wgsl.
QUERIES = 16
ROWS_A_TILE = 4
"""A pass has a tile of attention, and a text, for every so many of its rows at most."""
LANES = 32


@dataclass(frozen=True)
class EncoderBuffers:
    """What a pass works in.

    Shapes, float32 unless said, rows padded to whole blocks of 32: hidden and summed
    (rows, hidden), inner (rows, the larger of 3 * hidden and intermediate), pooled (texts, hidden);
    ``rows``: models/step.py, the third word of a row being its token type; ``tiles``, ``texts``:
    ``PackedTexts``.
    """

    rows: Buffer
    tiles: Buffer
    texts: Buffer
    hidden: Buffer
    summed: Buffer
    inner: Buffer
    pooled: Buffer


def tiles_of(length: int) -> int:
    """Tiles of attention that a text of so many tokens takes."""
    return -(-length // QUERIES)


@dataclass(frozen=True)
class PackedTexts:
    """Texts of one pass as the kernels read them."""

    texts: Sequence[Sequence[int]]
    config: BertConfig

    @property
    def rows(self) -> bytes:
        """What ``EncoderBuffers.rows`` holds: token and position of each row."""
        first = self.config.first_position
        rows = [Row(t, position) for text in self.texts for position, t in enumerate(text, first)]
        return StepLayout(len(rows), 0).words(rows)

    def tiles(self, count: int) -> bytes:
        """So many tiles of attention, the last ones empty: first row, end, the text's first and
        end."""
        words: list[int] = []
        for first, end in self.spans:
            for row in range(first, end, QUERIES):
                words += (row, min(row + QUERIES, end), first, end)
        return struct.pack(f"<{len(words)}I", *words).ljust(16 * count, b"\0")

    def pooled(self, count: int) -> bytes:
        """The rows that make each text's vector, for so many texts, the last ones empty."""
        words: list[int] = []
        for first, end in self.spans:
            match self.config.pooling:
                case "mean":
                    words += (first, end)
                case "cls":
                    words += (first, first + 1)
                case "last":
                    words += (end - 1, end)
        return struct.pack(f"<{len(words)}I", *words).ljust(8 * count, b"\0")

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First row and end of each text."""
        found, first = [], 0
        for text in self.texts:
            found.append((first, first + len(text)))
            first += len(text)
        return found


class EncoderGraph:
    """Collects the dispatches of one pass over ``rows`` rows, a multiple of what a GEMM takes."""

    def __init__(
        self,
        rows: int,
        *,
        config: BertConfig,
        weights: Weights,
        buffers: EncoderBuffers,
        device: Device,
        tuning: Tuning,
    ):
        self.rows = rows
        self.config = config
        self.weights = weights
        self.buffers = buffers
        self.device = device
        self.tuning = tuning
        self.dispatches: list[Dispatch] = []

    def embed(self, *names: str) -> None:
        """summed = the tables' rows for token, position and token type, added up."""
        for word, name in enumerate(names):
            matrix, slices = self.weights.matrices[name]
            for part in slices:
                made = kernel(
                    "embed",
                    snippets={"quant": f"quant/{part.format}"},
                    UNITS=matrix.units,
                    ROW0=part.row0,
                    SLICE=part.rows,
                    STEP_ROWS=ROWS_AT,
                    WORD=word,
                    ADD=word > 0,
                )
                bound = {**part.buffers, "step": self.buffers.rows, "y": self.buffers.summed}
                self.dispatches.append(
                    Dispatch(made, bound, (-(-matrix.units // 64), self.rows, 1), name)
                )

    def norm(self, name: str, source: Buffer, target: Buffer) -> None:
        """target = LayerNorm of the rows of source."""
        hidden = self.config.hidden_size
        _, weight = self.weights.vectors[name]
        threads = min(self.tuning.reduce_threads, 128)
        made = kernel(
            "norm",
            BLOCKS=padded(hidden) // 32,
            K=hidden,
            EPS=self.config.norm_eps,
            CENTERED=True,
            BIAS=True,
            LANES=threads,
            THREADS=threads,
        )
        bound = {"x": source, "weight": weight, "y": target}
        self.dispatches.append(Dispatch(made, bound, (1, self.rows, 1), name))

    def attend(self, name: str) -> None:
        """summed = the attention of each text of the hidden rows over itself."""
        config, buffers = self.config, self.buffers
        self.linear(name, buffers.hidden, "store", buffers.inner, 3 * config.hidden_size)
        made = kernel(
            "attention_encoder",
            HEADS=config.n_heads,
            HEAD_DIM=config.head_dim,
            SCALE=config.head_dim**-0.5,
            Y_STRIDE=padded(config.hidden_size),
            SHARES=LANES // (config.head_dim // 4),
            LANES=LANES,
            THREADS=QUERIES // 4 * LANES,
        )
        bound = {"qkv": buffers.inner, "tiles": buffers.tiles, "y": buffers.summed}
        groups = (self.rows // ROWS_A_TILE, config.n_heads, 1)
        self.dispatches.append(Dispatch(made, bound, groups, name))

    def widen(self, name: str) -> None:
        """inner = gelu of the projection of the summed rows."""
        width = padded(self.config.intermediate_size)
        words = {"activation": "activation/gelu"}
        self.linear(name, self.buffers.summed, "activate", self.buffers.inner, width, words)

    def add_linear(self, name: str, source: Buffer, target: Buffer) -> None:
        """target += the projection of ``source``."""
        self.linear(name, source, "residual", target, padded(self.config.hidden_size))

    def linear(
        self,
        name: str,
        source: Buffer,
        epilogue: str,
        target: Buffer,
        stride: int,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """A matrix times rows, and its bias, into rows of so many elements."""
        matrix, slices = self.weights.matrices[name]
        vector, vectors = self.weights.vectors[name]
        constants = {"BIAS": True, "BIAS_AT": vector.bias_at // 4, "Y_STRIDE": stride}
        across = self.device.limits.max_compute_workgroups_per_dimension
        for part in slices:
            words = {
                "epilogue": f"epilogue/{epilogue}",
                "finish": "linear/finish",
                "quant": f"quant/{part.format}",
                **(more or {}),
            }
            bound = {"x": source, "vectors": vectors, "y": target, **part.buffers}
            layer = Linear(matrix, part, bound, words, constants, self.tuning, across)
            self.dispatches.append(layer.gemm(self.rows))

    def pool(self) -> None:
        """pooled = each text's vector."""
        buffers, threads = self.buffers, min(self.tuning.reduce_threads, 128)
        made = kernel(
            "pool",
            UNITS=padded(self.config.hidden_size) // 8,
            NORMALIZE=self.config.normalize,
            LANES=threads,
            THREADS=threads,
        )
        bound = {"x": buffers.hidden, "texts": buffers.texts, "y": buffers.pooled}
        self.dispatches.append(Dispatch(made, bound, (1, self.rows // ROWS_A_TILE, 1)))
