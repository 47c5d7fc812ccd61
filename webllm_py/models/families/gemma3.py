"""Gemma 3 (arXiv 2503.19786): five layers with a window and a rotation of their own to one without;
queries and keys normed by head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.errors import UnsupportedModelError
from webllm_py.models.config import LayerKind
from webllm_py.models.families import gemma2, qwen3
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]

LARGEST = 62
"""Layers of Gemma 3 27B."""


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Rope scaling is of the layers without a window."""
    if not n.gguf and n.get("use_bidirectional_attention", "", False):
        raise UnsupportedModelError("attention in both directions is not supported")
    rope, local = n.ropes
    theta = n.get("rope_theta", "rope.freq_base", rope.get("rope_theta", 1e6))
    local_theta = n.get("rope_local_base_freq", "rope.freq_base_swa", local.get("rope_theta", 1e4))
    window = n.get("sliding_window", "attention.sliding_window", 4096) or 0
    sliding, full = LayerKind(window, "local"), LayerKind()
    return {
        **gemma2.differences(n),
        "qk_norm": "head",
        "attention_softcap": 0.0,
        "attention_scale": gemma2.scale(n, LARGEST),
        "rope_theta": theta,
        "local_rope_theta": local_theta,
        "layer_kinds": tuple(sliding if s else full for s in n.sliding(6)),
        "whole_images": True,
    }


FAMILY = Family(
    differences,
    names={**gemma2.NAMES, **qwen3.NAMES},
    keys=gemma2.KEYS,
    # Left out where the model is a part of one that sees.
    defaults={
        "num_attention_heads": 8,
        "hidden_act": "gelu_pytorch_tanh",
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 131072,
    },
)
