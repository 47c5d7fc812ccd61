"""Ministral 3: Mistral with YaRN, and queries that grow with their position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.families import llama
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Its config.json has the growth among the numbers of its rope."""
    rope, _ = n.ropes
    growth = n.get("", "attention.temperature_scale", rope.get("llama_4_scaling_beta") or 0.0)
    return {**llama.differences(n), "query_growth": growth}


FAMILY = Family(
    differences,
    defaults={
        "num_key_value_heads": 8,
        "max_position_embeddings": 262144,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 16.0,
            "original_max_position_embeddings": 16384,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
            "llama_4_scaling_beta": 0.1,
        },
    },
    adjacent_in=("gguf",),
)
