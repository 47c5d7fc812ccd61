"""Qwen3's mixtures of experts (arXiv 2505.09388)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.families import qwen3
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Which layers have experts is found by their tensors. transformers 5 renamed their number."""
    experts = n.get("num_local_experts", "expert_count", 128)
    return {
        **qwen3.differences(n),
        "n_experts": n.get("num_experts", "expert_count", experts),
        "n_experts_used": n.get("num_experts_per_tok", "expert_used_count", 8),
        "expert_size": n.get("moe_intermediate_size", "expert_feed_forward_length"),
        "experts_normalized": n.gguf or bool(n.get("norm_topk_prob", "", False)),
    }


FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        **qwen3.NAMES,
        "model.layers.{}.mlp.gate": "blk.{}.ffn_gate_inp",
        "model.layers.{}.mlp.experts.{}.gate_proj": "blk.{}.ffn_gate_exps.{}",
        "model.layers.{}.mlp.experts.{}.up_proj": "blk.{}.ffn_up_exps.{}",
        "model.layers.{}.mlp.experts.{}.down_proj": "blk.{}.ffn_down_exps.{}",
    },
    defaults={
        "num_key_value_heads": 4,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "max_position_embeddings": 32768,
    },
)
