"""Qwen3's mixtures of experts (arXiv 2505.09388)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.families import qwen2, qwen2_moe, qwen3
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Which layers have experts is found by their tensors; where there is a window, all have it.
    transformers 5 renamed the experts' number."""
    experts = n.get("num_local_experts", "expert_count", 128)
    windowed = not n.gguf and n.get("use_sliding_window", "", False)
    window = n.get("sliding_window", "", 0) if windowed else 0
    return {
        **qwen3.differences(n),
        "layer_kinds": (LayerKind(window),) * n.layers if window else (),
        "n_experts": n.get("num_experts", "expert_count", experts),
        "n_experts_used": n.get("num_experts_per_tok", "expert_used_count", 8),
        "expert_size": n.get("moe_intermediate_size", "expert_feed_forward_length"),
        "experts_normalized": n.gguf or bool(n.get("norm_topk_prob", "", False)),
    }


FAMILY = Family(
    differences,
    in_mlc=False,
    names={**qwen3.NAMES, **qwen2_moe.NAMES},
    defaults={
        **qwen2.DEFAULTS,
        "num_key_value_heads": 4,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
    },
)
