"""GLM-4-0414: norms before and after attention and MLP; a part of each head rotated, its pairs
side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Where norms are."""
    return {"post_norm": True}


FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        "model.layers.{}.post_self_attn_layernorm": "blk.{}.post_attention_norm",
        "model.layers.{}.post_mlp_layernorm": "blk.{}.post_ffw_norm",
        "model.layers.{}.mlp.gate_up_proj": "blk.{}.ffn_up",
    },
    defaults={
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "partial_rotary_factor": 0.5,
        "rms_norm_eps": 1.5625e-7,
    },
    adjacent_in=("huggingface", "gguf"),
)
