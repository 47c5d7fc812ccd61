"""A text encoder's pass, written down as dispatches: texts of any lengths one behind the other.

Nothing is padded and nothing cached: what comes out for a text does not depend on the texts beside
it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Device, Dispatch
from webllm_py.gpu.kernels import kernel
from webllm_py.models.activations import padded
from webllm_py.models.bert_config import BertConfig
from webllm_py.models.encoder_layers import LayerBuffers, Layers, tile_words, tiles_of
from webllm_py.models.step import Row, StepLayout
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Weights

__all__ = ["ROWS_A_TILE", "EncoderBuffers", "EncoderGraph", "PackedTexts", "tiles_of"]

ROWS_A_TILE = 4
"""Rows of a pass for each tile of attention, and for each text, that it has room for."""


@dataclass(frozen=True)
class EncoderBuffers(LayerBuffers):
    """What a pass works in.

    Attributes:
        rows: models/step.py, the third word of a row being its token type.
        texts: ``PackedTexts``.
        pooled: float32 (texts, hidden), padded as rows are.
    """

    texts: Buffer
    pooled: Buffer


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
        """The tiles of attention, padded to ``count`` with empty ones: first row, end, the text's
        first row and end, uint32."""
        return tile_words(self.spans).ljust(16 * count, b"\0")

    def pooled(self, count: int) -> bytes:
        """The rows that make each text's vector, padded to ``count`` texts with empty ones: first
        row and end, uint32."""
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


class EncoderGraph(Layers):
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
        super().__init__(
            rows,
            rows // ROWS_A_TILE,
            shape=config,
            weights=weights,
            buffers=buffers,
            device=device,
            tuning=tuning,
        )
        self.config, self.texts, self.pooled = config, buffers.texts, buffers.pooled

    def embed(self, *names: str) -> None:
        """summed = the tables' rows for token, position and token type, added up."""
        for word, name in enumerate(names):
            self.look_up(name, self.buffers.summed, word, add=word > 0)

    def pool(self) -> None:
        """pooled = each text's vector."""
        threads = min(self.tuning.reduce_threads, 128)
        made = kernel(
            "pool",
            UNITS=padded(self.config.hidden_size) // 8,
            NORMALIZE=self.config.normalize,
            LANES=threads,
            THREADS=threads,
        )
        bound = {"x": self.buffers.hidden, "texts": self.texts, "y": self.pooled}
        self.dispatches.append(Dispatch(made, bound, (1, self.rows // ROWS_A_TILE, 1)))
