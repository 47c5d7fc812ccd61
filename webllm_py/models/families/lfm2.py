"""LFM2 (arXiv 2511.23404): gated short convolutions, and in some layers attention, whose queries
and keys are normed by head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.errors import CorruptCheckpointError
from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters
from webllm_py.models.recurrence import ShortConvConfig

__all__ = ["FAMILY", "layers"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """GGUF's converter computes the MLPs' size."""
    return {
        **layers(n),
        "intermediate_size": n.count("intermediate_size", "feed_forward_length")
        if n.gguf
        else adjusted_size(n),
    }


def layers(n: HyperParameters) -> Mapping[str, Any]:
    """What the layers' kinds are. GGUF's converter gives those without attention no heads; a window
    is of all others, as llama.cpp reads it."""
    window = n.get("", "attention.sliding_window", 0) if n.gguf else 0
    attention, convolution = LayerKind(window), LayerKind(recurrent=True)
    return {
        "qk_norm": "head",
        "layer_kinds": tuple(attention if attends else convolution for attends in attending(n)),
        "recurrence": ShortConvConfig(
            channels=n.hidden, kernel=n.count("conv_L_cache", "shortconv.l_cache", 3)
        ),
    }


def attending(n: HyperParameters) -> list[bool]:
    """Which layers have attention: all, where the file says nothing."""
    if n.gguf:
        heads = n.get("", "attention.head_count_kv", 1)
        return [count > 0 for count in heads] if isinstance(heads, list) else [True] * n.layers
    types = n.get("layer_types", "", None)
    if types is not None:
        return [kind != "conv" for kind in types]
    indices = n.get("full_attn_idxs", "", range(n.layers))
    return [index in indices for index in range(n.layers)]


def stated_size(n: HyperParameters) -> int:
    """The MLPs' size before it is adjusted, as the first files call it."""
    size: int | None = n.metadata.get("block_ff_dim")
    if size is None:
        raise CorruptCheckpointError("config.json lacks intermediate_size")
    return size


def adjusted_size(n: HyperParameters) -> int:
    """The MLPs' size: two thirds of what config.json says, rounded up to whole blocks."""
    size = n.count("block_ff_dim", "", n.count("intermediate_size", ""))
    factor = n.get("block_ffn_dim_multiplier", "", None)
    if not n.get("block_auto_adjust_ff_dim", "", True):
        return size
    size = int(2 * size / 3)
    if factor is None:
        return size
    multiple = n.count("block_multiple_of", "", 256)
    return -(-int(factor * size) // multiple) * multiple


NAMES = {
    "model.embedding_norm": "output_norm",
    "model.layers.{}.operator_norm": "blk.{}.attn_norm",
    "model.layers.{}.self_attn.q_layernorm": "blk.{}.attn_q_norm",
    "model.layers.{}.self_attn.k_layernorm": "blk.{}.attn_k_norm",
    "model.layers.{}.self_attn.out_proj": "blk.{}.attn_output",
    "model.layers.{}.conv.in_proj": "blk.{}.shortconv.in_proj",
    "model.layers.{}.conv.conv": "blk.{}.shortconv.conv",
    "model.layers.{}.conv.out_proj": "blk.{}.shortconv.out_proj",
    "model.layers.{}.ffn_norm": "blk.{}.ffn_norm",
    "model.layers.{}.feed_forward.w1": "blk.{}.ffn_gate",
    "model.layers.{}.feed_forward.w3": "blk.{}.ffn_up",
    "model.layers.{}.feed_forward.w2": "blk.{}.ffn_down",
}
FAMILY = Family(
    differences,
    in_mlc=False,
    names=NAMES,
    gguf_names={"token_embd_norm.weight": "output_norm.weight"},
    keys={"rms_norm_eps": "norm_eps"},
    defaults={
        "intermediate_size": stated_size,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "max_position_embeddings": 128000,
        "block_ffn_dim_multiplier": 1.0,
    },
)
