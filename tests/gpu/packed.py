"""Numpy's word on the quantized matrices of safetensors: GPTQ, AWQ and 8-bit floats.

Written from the descriptions of AutoGPTQ's, AutoAWQ's and DeepSeek's files; none of their code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from formats import from_bf16, to_bf16

__all__ = ["PACKED", "Made", "Packed", "float8"]

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # of the columns in a word, from the lowest bits on


@dataclass(frozen=True)
class Made:
    """A matrix as the file has it: arrays by what follows the matrix's name, and its values."""

    arrays: dict[str, np.ndarray]
    values: np.ndarray


def float8(codes: np.ndarray) -> np.ndarray:
    """E4M3 without infinities, of bytes."""
    exponent, mantissa = (codes >> 3 & 15).astype(int), (codes & 7).astype(np.float32)
    size = np.where(
        exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    )
    return np.where(codes < 128, size, -size).astype(np.float32)


BYTES = np.array([code for code in range(256) if code & 127 != 127], np.uint8)  # which are numbers
POSITIVE = np.sort(float8(np.arange(127, dtype=np.uint8)))


def nearest_float8(values: np.ndarray) -> np.ndarray:
    """Bytes of the numbers next to some of at most 448."""
    middles = (POSITIVE[1:] + POSITIVE[:-1]) / 2
    codes = np.searchsorted(middles, np.abs(values)).astype(np.uint8)
    return np.where(values < 0, codes | 128, codes).astype(np.uint8)


@dataclass(frozen=True)
class Packed:
    """One way to store a matrix.

    Attributes:
        kind: "gptq", "gptq_v2", "awq" or "fp8".
        group: columns of a scale, -1 for all.
        tile: of 8-bit floats: rows and columns of a scale; None for all or, ``by_rows``, a row.
    """

    kind: str
    bits: int = 4
    group: int = 128
    tile: tuple[int, int] | None = None
    by_rows: bool = False
    bf16: bool = False

    @property
    def config(self) -> dict[str, object]:
        """quantization_config of config.json."""
        if self.kind == "fp8":
            return {
                "quant_method": "fp8",
                "activation_scheme": "dynamic",
                "weight_block_size": list(self.tile) if self.tile else None,
            }
        common = {"bits": self.bits, "group_size": self.group}
        if self.kind == "awq":
            return {**common, "quant_method": "awq", "version": "gemm", "zero_point": True}
        layout = {"checkpoint_format": self.kind, "desc_act": False, "sym": False}
        return {**common, **layout, "quant_method": "gptq"}

    def random(self, rows: int, columns: int, rng: np.random.Generator) -> Made:
        """Any codes, zeros and scales."""
        if self.kind == "fp8":
            scales = rng.uniform(-2, 2, self.tiles(rows, columns)).astype(np.float32)
            return self.floats(rng.choice(BYTES, (rows, columns)), scales)
        groups = columns // self.width(columns)
        codes = rng.integers(0, 2**self.bits, (rows, columns), np.uint32)
        zeros = rng.integers(0, 2**self.bits, (rows, groups), np.uint32)
        bits = rng.integers(0, 0x7C00, (rows, groups), np.uint16)
        bits |= rng.integers(0, 2, (rows, groups), np.uint16) << 15
        return self.integers(codes, zeros, bits.view(np.float16))

    def quantize(self, weight: np.ndarray) -> Made:
        """A weight's nearest codes."""
        rows, columns = weight.shape
        if self.kind == "fp8":
            high, wide = self.sizes(rows, columns)
            scales = np.zeros(self.tiles(rows, columns), np.float32)
            for r, c in np.ndindex(scales.shape):
                part = weight[r * high : (r + 1) * high, c * wide : (c + 1) * wide]
                scales[r, c] = np.abs(part).max() / 448
            scales = self.rounded(scales)
            return self.floats(nearest_float8(weight / self.spread(scales, rows, columns)), scales)
        most = 2**self.bits - 1
        groups = weight.reshape(rows, -1, self.width(columns))
        low, high = np.minimum(groups.min(2), 0), np.maximum(groups.max(2), 0)
        scales = ((high - low) / most).astype(np.float16)
        steps = scales.astype(np.float32)
        zeros = np.clip(np.rint(-low / steps), 0, most)
        codes = np.clip(np.rint(groups / steps[..., None]) + zeros[..., None], 0, most)
        return self.integers(
            codes.reshape(rows, columns).astype(np.uint32), zeros.astype(np.uint32), scales
        )

    def width(self, columns: int) -> int:
        return columns if self.group == -1 else self.group

    def integers(self, codes: np.ndarray, zeros: np.ndarray, scales: np.ndarray) -> Made:
        """Of codes (rows, columns), zeros and float16 scales (rows, groups)."""
        wide = self.width(codes.shape[1])
        whole = codes.astype(np.float32) - np.repeat(zeros, wide, 1).astype(np.float32)
        values = whole * np.repeat(scales.astype(np.float32), wide, 1)
        stored = (zeros.T - (self.kind == "gptq")) & (2**self.bits - 1)
        if self.kind == "awq":
            words, stored = self.words(codes.T, AWQ_ORDER), self.words(stored, AWQ_ORDER)
        else:
            order = range(32 // self.bits)
            words, stored = self.words(codes, order).T, self.words(stored, order)
        arrays = {".qweight": words, ".scales": scales.T, ".qzeros": stored}
        return Made({end: np.ascontiguousarray(array) for end, array in arrays.items()}, values)

    def words(self, codes: np.ndarray, order: tuple[int, ...] | range) -> np.ndarray:
        """Neighbours of a row in int32."""
        parts = codes.reshape(len(codes), -1, 32 // self.bits).astype(np.uint32)
        shifts = np.arange(len(order), dtype=np.uint32) * np.uint32(self.bits)
        return (parts[..., list(order)] << shifts).sum(2, dtype=np.uint32).view(np.int32)

    def sizes(self, rows: int, columns: int) -> tuple[int, int]:
        return self.tile or (1 if self.by_rows else rows, columns)

    def tiles(self, rows: int, columns: int) -> tuple[int, int]:
        high, wide = self.sizes(rows, columns)
        return -(-rows // high), -(-columns // wide)

    def rounded(self, scales: np.ndarray) -> np.ndarray:
        return from_bf16(to_bf16(scales)) if self.bf16 else scales

    def spread(self, scales: np.ndarray, rows: int, columns: int) -> np.ndarray:
        high, wide = self.sizes(rows, columns)
        return np.repeat(np.repeat(scales, high, 0), wide, 1)[:rows, :columns]

    def floats(self, codes: np.ndarray, scales: np.ndarray) -> Made:
        """Of bytes (rows, columns) and float32 scales of tiles."""
        scales = self.rounded(scales)
        values = float8(codes) * self.spread(scales, *codes.shape)
        stored = to_bf16(scales) if self.bf16 else scales
        end = ".weight_scale_inv" if self.tile else ".weight_scale"
        if not self.tile and not self.by_rows:
            stored = stored.reshape(())
        return Made({".weight": codes, end: stored}, values)


PACKED = {
    "gptq 64": Packed("gptq", group=64),
    "gptq 128": Packed("gptq"),
    "gptq row": Packed("gptq", group=-1),
    "gptq_v2 8 bits": Packed("gptq_v2", bits=8),
    "gptq 8 bits row": Packed("gptq", bits=8, group=-1),
    "awq 128": Packed("awq"),
    "fp8": Packed("fp8"),
    "fp8 rows": Packed("fp8", by_rows=True, bf16=True),
    "fp8 tiles": Packed("fp8", tile=(16, 128)),
}
