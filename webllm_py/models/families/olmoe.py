"""OLMoE (arXiv 2409.02060): mixtures of experts; queries and keys are normed whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.families import qwen3_moe
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """GGUF's files do not say that experts' weights add up to 1: those of published models do
    not."""
    return {
        "qk_norm": "whole",
        "qkv_clip": n.get("clip_qkv", "attention.clamp_kqv", 0.0),
        "n_experts": n.get("num_experts", "expert_count", n.get("num_local_experts", "", 64)),
        "n_experts_used": n.get("num_experts_per_tok", "expert_used_count", 8),
        "expert_size": n.get("intermediate_size", "feed_forward_length"),
        "experts_normalized": bool(n.get("norm_topk_prob", "", False)),
    }


FAMILY = Family(
    differences,
    in_mlc=False,
    names=qwen3_moe.FAMILY.names,
    defaults={"max_position_embeddings": 4096, "rms_norm_eps": 1e-5},
)
