"""Command R (Cohere), Aya: LayerNorm without biases, MLPs beside attention, scaled logits, rotary
pairs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY", "differences"]

LARGEST = 64
"""Layers of Command R+."""


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """The largest has norms of heads, of which GGUF does not tell. The first ones' contexts are
    longer than config.json's number of positions."""
    normed = n.layers >= LARGEST if n.gguf else n.get("use_qk_norm", "", False)
    trained = n.get("max_position_embeddings", "context_length", 8192)
    return {
        "norm": "layer",
        "parallel": True,
        "qk_norm": "own" if normed else None,
        "context_length": n.get("model_max_length", "context_length", trained),
        "logit_scale": n.get("logit_scale", "logit_scale", 0.0625),
    }


FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        "model.layers.{}.self_attn.q_norm": "blk.{}.attn_q_norm",
        "model.layers.{}.self_attn.k_norm": "blk.{}.attn_k_norm",
    },
    keys={"rms_norm_eps": "layer_norm_eps"},
    defaults={"rms_norm_eps": 1e-5, "rope_theta": 500000.0},
    adjacent_in=("huggingface", "gguf"),
)
