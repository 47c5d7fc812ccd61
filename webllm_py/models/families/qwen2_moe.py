"""Qwen2's mixtures of experts (arXiv 2407.10671): beside them is an MLP that every token goes
through, as far as its own gate lets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.families import qwen2
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY", "NAMES", "shared_expert"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Which layers have experts is found by their tensors. Where config.json does not list windows,
    every second layer has one, as in transformers 5. GGUF's first files do not say how wide experts
    are, and none says whether their weights are scaled to add up to 1: published models' are not.
    """
    used = n.count("num_experts_per_tok", "expert_used_count", 4)
    width = n.count("intermediate_size", "feed_forward_length")
    size = n.count("moe_intermediate_size", "expert_feed_forward_length", width // used)
    found: dict[str, Any] = {}
    if not n.gguf and n.get("use_sliding_window", "", False):
        window, most = n.get("sliding_window", "", 0), n.get("max_window_layers", "", 28)
        sliding = n.told_sliding or [i % 2 == 0 and i < most for i in range(n.layers)]
        found["layer_kinds"] = tuple(LayerKind(window if s else 0) for s in sliding)
    return {
        **found,
        "n_experts": n.get("num_experts", "expert_count", 60),
        "n_experts_used": used,
        "expert_size": size,
        "experts_normalized": bool(n.get("norm_topk_prob", "", False)),
        **shared_expert(n, size, width),
    }


def shared_expert(n: HyperParameters, size: int, default: int) -> Mapping[str, Any]:
    """What every token goes to: one more of the experts of that size if it is as wide as they are,
    else an MLP beside them.

    Args:
        default: how wide it is if a GGUF file does not say it.
    """
    keys = "shared_expert_intermediate_size", "expert_shared_feed_forward_length"
    width = n.count(*keys, default)
    if width == size:
        return {"shared_expert": True}
    return {"beside_size": width, "beside_weighted": True}


MLP = "model.layers.{}.mlp"
NAMES = {
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
}
FAMILY = Family(
    differences,
    in_mlc=False,
    names=NAMES,
    defaults={
        **qwen2.DEFAULTS,
        "num_key_value_heads": 16,
        "intermediate_size": 5632,
        "moe_intermediate_size": 1408,
        "shared_expert_intermediate_size": 5632,
    },
)
