"""Phi-1, Phi-1.5 (arXiv 2309.05463), Phi-2: LayerNorm, MLPs without a gate and beside attention,
biases everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """One norm serves both halves of a layer."""
    found = {"norm": "layer", "parallel": True, "gated": False}
    return {**found, "activation": "gelu_tanh"} if n.gguf else found


FAMILY = Family(
    differences,
    names={
        "model.final_layernorm": "output_norm",
        "model.layers.{}.self_attn.dense": "blk.{}.attn_output",
        "model.layers.{}.mlp.fc1": "blk.{}.ffn_up",
        "model.layers.{}.mlp.fc2": "blk.{}.ffn_down",
    },
    keys={"rms_norm_eps": "layer_norm_eps"},
    defaults={"hidden_act": "gelu_new", "partial_rotary_factor": 0.5, "rms_norm_eps": 1e-5},
)
