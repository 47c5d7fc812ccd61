"""LFM2's mixtures of experts, behind a few layers with MLPs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.families import lfm2
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """GGUF's files do not say what published models have alike."""
    return {
        **lfm2.layers(n),
        "n_experts": n.get("num_experts", "expert_count", 32),
        "n_experts_used": n.get("num_experts_per_tok", "expert_used_count", 4),
        "expert_size": n.get("moe_intermediate_size", "expert_feed_forward_length", 1792),
        "experts_scoring": "sigmoid",
        "experts_normalized": bool(n.get("norm_topk_prob", "", True)),
        "experts_scale": n.get("routed_scaling_factor", "", 1.0),
    }


MLP = "model.layers.{}.feed_forward"
FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        **lfm2.FAMILY.names,
        f"{MLP}.gate": "blk.{}.ffn_gate_inp",
        f"{MLP}.expert_bias": "blk.{}.exp_probs_b.bias",
        f"{MLP}.experts.gate_up_proj": "blk.{}.ffn_gate_up_exps.weight",
        f"{MLP}.experts.down_proj": "blk.{}.ffn_down_exps.weight",
        f"{MLP}.experts.{{}}.w1": "blk.{}.ffn_gate_exps.{}",
        f"{MLP}.experts.{{}}.w3": "blk.{}.ffn_up_exps.{}",
        f"{MLP}.experts.{{}}.w2": "blk.{}.ffn_down_exps.{}",
    },
    gguf_names=lfm2.FAMILY.gguf_names,
    keys=lfm2.FAMILY.keys,
    defaults={
        **lfm2.FAMILY.defaults,
        "intermediate_size": 7168,
        "moe_intermediate_size": 1792,
    },
)
