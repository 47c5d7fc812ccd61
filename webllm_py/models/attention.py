"""A layer's attention as dispatches: split over keys for a few rows, tiled for a chunk of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import Kernel, kernel
from webllm_py.models.activations import Activations, padded
from webllm_py.models.config import ModelConfig
from webllm_py.models.kv_cache import KVFormat, reader_snippets
from webllm_py.models.step import ROWS_AT
from webllm_py.models.tuning import Tuning
from webllm_py.models.workgroup_shapes import AttentionShape

__all__ = ["SPLIT_END", "Attention", "fused_keys"]

# Floats after a split's sums: its maximum, its weight, and two that keep sums aligned.
SPLIT_END = 4


@dataclass(frozen=True)
class Attention:
    """Attention of rows of q over the keys and values of their sequences.

    Attributes:
        pages: the constants of kernels/kv/pages.wgsl.
        sinks: a score of each head that has no value; see kernels/attention/sinks.wgsl.
        images: whether rows of an image attend to all of it; see kernels/attention/images.wgsl.
        fused: of one row over ``fused_keys`` keys at most: the next GEMV puts the splits together.
    """

    config: ModelConfig
    tuning: Tuning
    kv_format: KVFormat
    pages: Mapping[str, int]
    buffers: Activations
    layer: int
    fused: bool = False
    sinks: Buffer | None = None
    images: bool = False

    def dispatches(self, rows: int) -> list[Dispatch]:
        """attended = the attention of ``rows`` rows."""
        if self.images or rows > self.tuning.few_rows:
            return [self.tiled(rows)]
        return [self.split(rows), self.combined(rows)]

    def split(self, rows: int) -> Dispatch:
        """The keys of each row are split over workgroups."""
        config, shape = self.config, self.shape(rows)
        quads = -(-config.n_heads // config.n_kv_heads // 4)
        return Dispatch(
            self.reader(
                "attention_split",
                {"ahead": "lora/not_ahead_heads"},
                QUADS=quads,
                SPLITS=shape.splits,
                LANES=shape.threads,
                THREADS=shape.threads,
            ),
            {**self.read, "partial": self.buffers.partial},
            (shape.splits, config.n_kv_heads * quads, rows),
        )

    def combined(self, rows: int) -> Dispatch:
        """The splits put together."""
        config, buffers = self.config, self.buffers
        return Dispatch(
            kernel(
                "attention_combine",
                snippets={"ahead": "lora/not_ahead"},
                Y_STRIDE=padded(config.n_heads * config.head_dim),
                PARTS=self.tuning.combine_parts,
                THREADS=64 * self.tuning.combine_parts,
                **self.splits(rows),
            ),
            {"partial": buffers.partial, "step": buffers.step, "y": buffers.attended},
            (config.n_heads, rows, 1),
        )

    def splits(self, rows: int) -> dict[str, int]:
        """The constants of what puts splits together."""
        shape = self.shape(rows)
        return {
            "HEADS": self.config.n_heads,
            "HEAD_DIM": self.config.head_dim,
            "SPLITS": shape.splits,
            "KEYS": shape.threads,
            "STEP_ROWS": ROWS_AT,
            "WINDOW": self.window,
        }

    def tiled(self, rows: int) -> Dispatch:
        """A chunk of positions, a tile of them to a workgroup."""
        config = self.config
        # Tiles of queries that fill workgroups without passing 16 KiB of workgroup memory.
        queries = 32 if config.head_dim <= 64 else 16 if config.head_dim <= 128 else 8
        shares = self.tuning.shares(config.head_dim // 8)
        lanes = config.head_dim // 8 * shares
        return Dispatch(
            self.reader(
                "attention_prefill",
                {"reach": f"attention/{'images' if self.images else 'causal'}"},
                QUERIES=queries,
                Y_STRIDE=padded(config.n_heads * config.head_dim),
                SHARES=shares,
                LANES=lanes,
                THREADS=queries // 4 * lanes,
            ),
            {**self.read, "y": self.buffers.attended},
            (-(-rows // queries), config.n_heads, 1),
        )

    def weights(self, rows: int, target: Buffer, keys: int) -> Dispatch:
        """target = the attention weights of ``rows`` rows: float32 (heads, rows, keys)."""
        made = self.reader("attention_weights", ROWS=rows, KEYS=keys, LANES=64, THREADS=64)
        return Dispatch(made, {**self.read, "weights": target}, (self.config.n_heads, rows, 1))

    def shape(self, rows: int) -> AttentionShape:
        """How workgroups share the keys of each of ``rows`` rows."""
        tuning = self.tuning
        if self.fused:
            return AttentionShape(tuning.attention_threads, fused_splits(tuning))
        return tuning.attention(rows, self.problem)

    @property
    def problem(self) -> str:
        """What the speed of one row's depends on, if it is not fused: "attention 14/2x64 f16"."""
        config = self.config
        heads = f"{config.n_heads}/{config.n_kv_heads}x{config.head_dim}"
        within = f" within {self.window}" if self.window else ""
        return f"attention {heads} {self.kv_format}{within}"

    @property
    def window(self) -> int:
        """Keys that a position attends to; 0 for all."""
        return self.config.kind(self.layer).window

    def reader(
        self, name: str, snippets: Mapping[str, str] | None = None, /, **constants: float
    ) -> Kernel:
        """One of the kernels that read keys and values, with the constants that both have."""
        config = self.config
        return kernel(
            name,
            snippets={
                **reader_snippets(self.kv_format),
                **(snippets or {}),
                "sinks": "attention/sinks" if self.sinks else "attention/no_sinks",
            },
            HEADS=config.n_heads,
            SCALE=config.attention_scale or config.head_dim**-0.5,
            SOFTCAP=config.attention_softcap,
            WINDOW=self.window,
            **self.pages,
            **constants,
        )

    @property
    def read(self) -> dict[str, Buffer]:
        """What both of them read."""
        buffers = self.buffers
        read = {"q": buffers.q, "step": buffers.step, "kv": buffers.kv[self.layer]}
        return {**read, "sinks": self.sinks} if self.sinks else read


def fused_keys(config: ModelConfig, tuning: Tuning) -> int:
    """Most keys of a decode step that has a dispatch less a layer; see ``Tuning.fused_keys``."""
    if config.output_gate:
        return 0  # the gate stands between the two
    quads = -(-config.hidden_size // 4)
    splits = config.n_heads * fused_splits(tuning)
    read = quads * splits * 4 * (config.head_dim + SPLIT_END)
    return tuning.fused_keys if read <= tuning.fused_bytes else 0


def fused_splits(tuning: Tuning) -> int:
    """A tile of keys each."""
    return tuning.fused_keys // tuning.attention_threads
