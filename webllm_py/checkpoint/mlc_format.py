"""How MLC stores tensors: the quantizations, and the weight index.

Formats: mlc_llm's group quantization (mlc_llm/quantization/group_quantization.py). A quantized
matrix X is two tensors: X.q_weight, codes packed into 32-bit words, and X.q_scale, a scale for each
group of a row. A code stands for ``(code - zero) * scale``; zero is 7 of 4 bits, 3 of 3 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webllm_py.checkpoint.checkpoint import FORMATS, TensorFormat

__all__ = ["BY_COLUMNS", "GROUP_FORMATS", "QUANTIZATIONS", "Quantization"]

WORDS = 4  # of a group, whatever its codes

# By the names of mlc_llm's quantizations whose matrices they are: f32 stands for bfloat16 scales,
# which is what its files keep of float32; _0 for transposed tensors. What a group holds is told by
# kernels/repack/codes4.wgsl and codes3.wgsl.
GROUP_FORMATS: Mapping[str, TensorFormat] = {
    f.name: f
    for f in (
        TensorFormat("Q4F16_1", 32, 4 * WORDS),
        TensorFormat("Q4F32_1", 32, 4 * WORDS),
        TensorFormat("Q4F16_0", 32, 4 * WORDS, by_columns=True),
        TensorFormat("Q4F32_0", 32, 4 * WORDS, by_columns=True),
        TensorFormat("Q3F16_1", 40, 4 * WORDS),
    )
}
# Of scales, which lie as their codes do.
BY_COLUMNS: Mapping[str, TensorFormat] = {
    name: TensorFormat(name, 1, FORMATS[name].block_bytes, by_columns=True)
    for name in ("F16", "BF16")
}


@dataclass(frozen=True)
class Quantization:
    """What ``quantization`` of mlc-chat-config.json stands for: codes of ``bits``, 0 for none."""

    bits: int = 0

    def format_of(self, scales: str, *, by_columns: bool) -> TensorFormat | None:
        """A matrix's format, by that of its scales; None for one that is not run."""
        kind = {"F16": "F16", "BF16": "F32"}.get(scales)
        return GROUP_FORMATS.get(f"Q{self.bits}{kind}_{0 if by_columns else 1}")


QUANTIZATIONS: Mapping[str, Quantization] = {
    **{name: Quantization() for name in ("q0f16", "q0f32", "q0bf16")},
    **{
        name: Quantization(4)
        for name in ("q4f16_0", "q4f16_1", "q4f16_2", "q4f32_1", "q4bf16_0", "q4bf16_1")
    },
    "q3f16_1": Quantization(3),
}
