"""Qwen3.5's mixtures of experts, one of which every row goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.errors import UnsupportedModelError
from webllm_py.models.families import qwen3_5_text
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """The shared expert has the width of the others."""
    size = n.get("moe_intermediate_size", "expert_feed_forward_length")
    shared = "shared_expert_intermediate_size", "expert_shared_feed_forward_length"
    if n.get(*shared, size) != size:
        raise UnsupportedModelError("a shared expert of another width than the others' is not run")
    return {
        **qwen3_5_text.differences(n),
        "n_experts": n.get("num_experts", "expert_count", 256),
        "n_experts_used": n.get("num_experts_per_tok", "expert_used_count", 8),
        "expert_size": size,
        "shared_expert": True,
    }


MLP = "model.layers.{}.mlp"
FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        **qwen3_5_text.FAMILY.names,
        f"{MLP}.gate": "blk.{}.ffn_gate_inp",
        f"{MLP}.experts.gate_up_proj": "blk.{}.ffn_gate_up_exps.weight",
        f"{MLP}.experts.down_proj": "blk.{}.ffn_down_exps.weight",
        f"{MLP}.experts.{{}}.gate_proj": "blk.{}.ffn_gate_exps.{}",
        f"{MLP}.experts.{{}}.up_proj": "blk.{}.ffn_up_exps.{}",
        f"{MLP}.experts.{{}}.down_proj": "blk.{}.ffn_down_exps.{}",
        f"{MLP}.shared_expert_gate": "blk.{}.ffn_gate_inp_shexp",
        f"{MLP}.shared_expert.gate_proj": "blk.{}.ffn_gate_shexp",
        f"{MLP}.shared_expert.up_proj": "blk.{}.ffn_up_shexp",
        f"{MLP}.shared_expert.down_proj": "blk.{}.ffn_down_shexp",
    },
    defaults={
        "num_key_value_heads": 2,
        "moe_intermediate_size": 512,
        "max_position_embeddings": 32768,
    },
)
