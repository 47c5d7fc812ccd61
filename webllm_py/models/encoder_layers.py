"""The layers of encoders, of texts and of images, written down as dispatches.

Every position attends to all of its text or image, and every linear layer is a GEMM whatever the
number of rows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import padded
from webllm_py.models.linear import Linear
from webllm_py.models.step import ROWS_AT
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Weights

__all__ = ["MOST_HEAD_DIM", "LayerBuffers", "LayerShape", "Layers", "tile_words", "tiles_of"]

# Of kernels/attention_encoder.wgsl: queries of a workgroup, threads for four of them.
QUERIES = 16
LANES = 32
MOST_HEAD_DIM = 128


class LayerShape(Protocol):
    """Numbers that an encoder's layers are made with."""

    @property
    def hidden_size(self) -> int:
        """Elements of a row between layers."""

    @property
    def intermediate_size(self) -> int:
        """Elements of a row within an MLP."""

    @property
    def n_heads(self) -> int:
        """Heads of a layer."""

    @property
    def head_dim(self) -> int:
        """Elements of a head."""

    @property
    def norm_eps(self) -> float:
        """The epsilon of its norms."""


@dataclass(frozen=True)
class LayerBuffers:
    """What layers work in.

    Shapes, float32 unless said, rows padded to whole blocks of 32: hidden and summed
    (rows, hidden), inner (rows, the larger of 3 * hidden and intermediate); ``rows``:
    models/step.py; ``tiles``: ``tile_words``.
    """

    rows: Buffer
    tiles: Buffer
    hidden: Buffer
    summed: Buffer
    inner: Buffer


def tiles_of(length: int) -> int:
    """Tiles of attention that a text of ``length`` rows takes."""
    return -(-length // QUERIES)


def tile_words(spans: Iterable[tuple[int, int]]) -> bytes:
    """Tiles of attention of rows that attend to each other, given by the first and the end: first
    row and end of each, then those of its rows' span."""
    words: list[int] = []
    for first, end in spans:
        for row in range(first, end, QUERIES):
            words += (row, min(row + QUERIES, end), first, end)
    return struct.pack(f"<{len(words)}I", *words)


class Layers:
    """Collects the dispatches of one pass over ``rows`` rows, a multiple of what a GEMM takes.

    Args:
        tiles: most tiles of attention.
    """

    def __init__(
        self,
        rows: int,
        tiles: int,
        *,
        shape: LayerShape,
        weights: Weights,
        buffers: LayerBuffers,
        device: Device,
        tuning: Tuning,
    ):
        self.rows = rows
        self.tiles = tiles
        self.shape = shape
        self.weights = weights
        self.buffers = buffers
        self.device = device
        self.tuning = tuning
        self.dispatches: list[Dispatch] = []

    def look_up(self, name: str, target: Buffer, word: int = 0, *, add: bool = False) -> None:
        """target = rows of a table, named by a word of each row; or target += them."""
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
                ADD=add,
            )
            bound = {**part.buffers, "step": self.buffers.rows, "y": target}
            self.dispatches.append(
                Dispatch(made, bound, (-(-matrix.units // 64), self.rows, 1), name)
            )

    def norm(self, name: str, source: Buffer, target: Buffer, *, centered: bool = True) -> None:
        """target = LayerNorm of the rows of source; RMSNorm if they are not ``centered``."""
        hidden = self.shape.hidden_size
        vector, weight = self.weights.vectors[name]
        threads = min(self.tuning.reduce_threads, 128)
        made = kernel(
            "norm",
            BLOCKS=padded(hidden) // 32,
            K=hidden,
            EPS=self.shape.norm_eps,
            CENTERED=centered,
            BIAS=len(vector.norm) > 1,
            LANES=threads,
            THREADS=threads,
        )
        bound = {"x": source, "weight": weight, "y": target}
        self.dispatches.append(Dispatch(made, bound, (1, self.rows, 1), name))

    def attend(self, name: str, source: Buffer) -> None:
        """summed = the attention of the rows of source over their text or image."""
        shape, buffers = self.shape, self.buffers
        self.linear(name, source, "store", buffers.inner, 3 * shape.hidden_size)
        made = kernel(
            "attention_encoder",
            HEADS=shape.n_heads,
            HEAD_DIM=shape.head_dim,
            SCALE=shape.head_dim**-0.5,
            Y_STRIDE=padded(shape.hidden_size),
            SHARES=LANES // (shape.head_dim // 4),
            LANES=LANES,
            THREADS=QUERIES // 4 * LANES,
        )
        bound = {"qkv": buffers.inner, "tiles": buffers.tiles, "y": buffers.summed}
        groups = (self.tiles, shape.n_heads, 1)
        self.dispatches.append(Dispatch(made, bound, groups, name))

    def widen(self, name: str, activation: str) -> None:
        """inner = the activated projection of the summed rows."""
        width = padded(self.shape.intermediate_size)
        snippets = {"activation": f"activation/{activation}"}
        self.linear(name, self.buffers.summed, "activate", self.buffers.inner, width, snippets)

    def add_linear(self, name: str, source: Buffer, target: Buffer) -> None:
        """target += the projection of ``source``."""
        self.linear(name, source, "residual", target, padded(self.shape.hidden_size))

    def linear(
        self,
        name: str,
        source: Buffer,
        epilogue: str,
        target: Buffer,
        stride: int,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """A matrix times rows, with its bias if it has one, into rows of ``stride`` elements."""
        matrix, slices = self.weights.matrices[name]
        vector, vectors = self.weights.vectors.get(name, (None, self.buffers.tiles))
        constants: dict[str, float] = {"Y_STRIDE": stride}
        if vector:
            constants |= {"BIAS": True, "BIAS_AT": vector.bias_at // 4}
        across = self.device.limits.max_compute_workgroups_per_dimension
        for part in slices:
            snippets = {
                "epilogue": f"epilogue/{epilogue}",
                "finish": "linear/finish",
                "quant": f"quant/{part.format}",
                **(more or {}),
            }
            bound = {"x": source, "vectors": vectors, "y": target, **part.buffers}
            layer = Linear(matrix, part, bound, snippets, constants, self.tuning, across)
            self.dispatches.append(layer.gemm(self.rows))
