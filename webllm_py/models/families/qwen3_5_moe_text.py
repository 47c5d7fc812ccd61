"""Qwen3.5's mixtures of experts, one of which every row goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.families import qwen2_moe, qwen3_5_text
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """The shared expert of published models has the width of the others."""
    size = n.count("moe_intermediate_size", "expert_feed_forward_length")
    return {
        **qwen3_5_text.differences(n),
        "n_experts": n.get("num_experts", "expert_count", 256),
        "n_experts_used": n.get("num_experts_per_tok", "expert_used_count", 8),
        "expert_size": size,
        **qwen2_moe.shared_expert(n, size, size),
    }


FAMILY = Family(
    differences,
    in_mlc=False,
    names={**qwen3_5_text.FAMILY.names, **qwen2_moe.NAMES},
    defaults={
        "num_key_value_heads": 2,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
        "max_position_embeddings": 32768,
    },
)
