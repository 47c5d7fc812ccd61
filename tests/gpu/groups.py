"""Numpy's word on MLC's quantized tensors: codes in words, a scale for each group of a row.

Written from the description of mlc_llm's group quantization; nothing of the package is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from formats import from_bf16, to_bf16

__all__ = ["GROUPS", "Group"]


@dataclass(frozen=True)
class Group:
    """One of the quantizations: codes of ``bits``, ``size`` of a row to a scale.

    Attributes:
        by_columns: both tensors are stored transposed.
        bf16: the scales are float32, of which the file keeps the upper half.
    """

    bits: int = 4
    size: int = 32
    by_columns: bool = False
    bf16: bool = False

    @property
    def most(self) -> int:
        """What stands for 0: codes are 0 to twice as much."""
        return 2 ** (self.bits - 1) - 1

    @property
    def a_word(self) -> int:
        return 32 // self.bits

    def quantize(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rows, columns) -> codes (rows, columns), scales (rows, groups), as the file has them."""
        groups = np.pad(weight, ((0, 0), (0, -weight.shape[1] % self.size)))
        groups = groups.reshape(len(weight), -1, self.size)
        scales = self.rounded(np.abs(groups).max(2) / np.float32(self.most))
        steps = np.where(scales == 0, 1, self.floats(scales))[..., None]
        codes = np.clip(np.rint(groups / steps + self.most), 0, 2 * self.most).astype(np.uint32)
        return codes.reshape(len(weight), -1)[:, : weight.shape[1]], scales

    def rounded(self, scales: np.ndarray) -> np.ndarray:
        """The scales' bits."""
        if self.bf16:
            return to_bf16(scales)
        return scales.astype(np.float16).view(np.uint16)

    def floats(self, bits: np.ndarray) -> np.ndarray:
        return from_bf16(bits) if self.bf16 else bits.view(np.float16).astype(np.float32)

    def packed(self, codes: np.ndarray) -> np.ndarray:
        """Words, the first code in the lowest bits; what no code fills is 0."""
        rows = len(codes)
        groups = np.pad(codes, ((0, 0), (0, -codes.shape[1] % self.size)))
        words = groups.reshape(rows, -1, self.a_word)
        shifts = np.arange(self.a_word, dtype=np.uint32) * np.uint32(self.bits)
        return (words.astype(np.uint32) << shifts).sum(2, dtype=np.uint32)

    def decoded(self, codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
        """float32 (rows, columns)."""
        each = np.repeat(self.floats(scales), self.size, axis=1)[:, : codes.shape[1]]
        return (codes.astype(np.float32) - self.most) * each

    def stored(self, codes: np.ndarray, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The two tensors as the file has them: words, and bits of scales."""
        tensors = self.packed(codes), scales
        if self.by_columns:
            return tuple(np.ascontiguousarray(t.T) for t in tensors)  # type: ignore[return-value]
        return tensors


GROUPS = {
    "Q4F16_1": Group(),
    "Q4F32_1": Group(bf16=True),
    "Q4F16_0": Group(by_columns=True),
    "Q4F32_0": Group(by_columns=True, bf16=True),
    "Q3F16_1": Group(bits=3, size=40),
}
