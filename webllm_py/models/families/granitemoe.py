"""Granite 3's mixtures of experts (IBM), PowerMoE: Granite 3 with experts in each layer; and those
with shared ones, an MLP beside them that every token goes through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.families import granite
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Weights of a token's experts are the softmax over their own scores."""
    return {
        **granite.differences(n),
        "n_experts": n.get("num_local_experts", "expert_count", 8),
        "n_experts_used": n.get("num_experts_per_tok", "expert_used_count", 2),
        "expert_size": n.get("intermediate_size", "feed_forward_length"),
        "beside_size": n.get("shared_intermediate_size", "expert_shared_feed_forward_length", 0),
    }


FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        # As published, and as transformers 5 calls them.
        "model.layers.{}.block_sparse_moe.router": "blk.{}.ffn_gate_inp",
        "model.layers.{}.block_sparse_moe.experts.gate_up_proj": "blk.{}.ffn_gate_up_exps.weight",
        "model.layers.{}.block_sparse_moe.experts.down_proj": "blk.{}.ffn_down_exps.weight",
        "model.layers.{}.block_sparse_moe.router.layer": "blk.{}.ffn_gate_inp",
        "model.layers.{}.block_sparse_moe.input_linear": "blk.{}.ffn_gate_up_exps",
        "model.layers.{}.block_sparse_moe.output_linear": "blk.{}.ffn_down_exps",
        "model.layers.{}.shared_mlp.input_linear": "blk.{}.ffn_up_shexp",
        "model.layers.{}.shared_mlp.output_linear": "blk.{}.ffn_down_shexp",
    },
    adjacent_in=("gguf",),
)
