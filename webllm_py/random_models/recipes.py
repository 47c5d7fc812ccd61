"""Which format each matrix of a random model is in."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FORMATS", "format_of"]

# What matrices can be made in, and llama.cpp's recipe that most published files follow.
FORMATS = (
    "q4_k_m", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k",
    "iq4_nl", "iq4_xs", "mxfp4", "f16",
)  # fmt: skip

# As llama.cpp has it where rows are no whole super-blocks.
FALLBACKS: Mapping[str, str] = {
    "Q2_K": "IQ4_NL",
    "Q3_K": "IQ4_NL",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
    "IQ4_XS": "IQ4_NL",
}


def format_of(recipe: str, tensor: str, columns: int, layers: int, *, tied: bool) -> str:
    """The GGUF format of a matrix.

    Args:
        recipe: one of ``FORMATS``.
        tensor: its name, without ``.weight``.
    """
    # Not with this module: the command line lists its recipes, and is to be there at once.
    from webllm_py.checkpoint.checkpoint import FORMATS as TENSOR_FORMATS

    format = recipe.upper()
    if recipe == "q4_k_m":
        format = "Q6_K" if has_more_bits(tensor, layers, tied=tied) else "Q4_K"
    if columns % TENSOR_FORMATS[format].block_size:
        return FALLBACKS[format]
    return format


def has_more_bits(tensor: str, layers: int, *, tied: bool) -> bool:
    """Whether Q4_K_M gives a matrix 6 bits: the output layer, and v and down of half the layers."""
    if tensor in ("token_embd", "output"):
        return tied or tensor == "output"
    _, layer, name = tensor.split(".")
    i, eighth = int(layer), layers // 8
    chosen = i < eighth or i >= 7 * layers // 8 or (i - eighth) % 3 == 2
    return chosen and name in ("attn_v", "ffn_down", "ffn_down_exps", "ffn_down_shexp")
