"""Phi-3, Phi-3.5-mini (arXiv 2404.14219), Phi-4-mini (2503.01743): q, k and v in one tensor, gate
and up in another; longrope; a part of each head rotated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters
from webllm_py.models.names import MLC_NAMES

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Every layer has the window."""
    window = n.get("sliding_window", "attention.sliding_window", 0)
    return {"layer_kinds": (LayerKind(window),) * n.layers if window else ()}


# MLC's names of Phi-3-vision, which has "model." where Phi-3 has "transformer.".
PHI3_V = {
    name.replace("transformer.", "model.", 1): gguf
    for name, gguf in MLC_NAMES.items()
    if name.startswith("transformer.")
}
FAMILY = Family(
    differences,
    names={
        "model.layers.{}.self_attn.qkv_proj": "blk.{}.attn_qkv",
        "model.layers.{}.mlp.gate_up_proj": "blk.{}.ffn_up",
        **PHI3_V,
    },
    defaults={
        "max_position_embeddings": 4096,
        "partial_rotary_factor": 1.0,
        "rms_norm_eps": 1e-5,
    },
)
