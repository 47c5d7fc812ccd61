"""gpt-oss (arXiv 2508.10925): mixtures of experts with biases, attention sinks, a window in every
second layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webllm_py.errors import UnsupportedModelError
from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters
from webllm_py.models.rope_scaling import scaling_from_gguf

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """GGUF does not say that YaRN blends between fractions of pairs, nor how gates are clamped."""
    if n.get("swiglu_alpha", "", 1.702) != 1.702:
        raise UnsupportedModelError("gates of another swiglu_alpha than 1.702 are not supported")
    window = n.get("sliding_window", "attention.sliding_window", 128)
    found: dict[str, Any] = {
        "layer_kinds": tuple(LayerKind(window if s else 0) for s in n.sliding(2)),
        "sinks": True,
        "experts_alternate": True,
        "glu_limit": n.get("swiglu_limit", "", 7.0),
        "n_experts": n.get("num_local_experts", "expert_count", n.get("num_experts", "", 128)),
        "n_experts_used": n.get("num_experts_per_tok", "expert_used_count", 4),
        "expert_size": n.get("intermediate_size", "expert_feed_forward_length"),
    }
    if n.gguf:
        scaling = scaling_from_gguf(n.architecture, n.metadata)
        found["intermediate_size"] = found["expert_size"]
        found["rope_scaling"] = scaling and replace(scaling, truncate=False)
    return found


FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        "model.layers.{}.self_attn.sinks": "blk.{}.attn_sinks.weight",
        "model.layers.{}.mlp.router": "blk.{}.ffn_gate_inp",
        "model.layers.{}.mlp.experts.gate_up_proj": "blk.{}.ffn_gate_up_exps.weight",
        "model.layers.{}.mlp.experts.gate_up_proj_bias": "blk.{}.ffn_gate_up_exps.bias",
        "model.layers.{}.mlp.experts.down_proj": "blk.{}.ffn_down_exps.weight",
        "model.layers.{}.mlp.experts.down_proj_bias": "blk.{}.ffn_down_exps.bias",
    },
    defaults={
        "num_key_value_heads": 8,
        "head_dim": 64,
        "num_experts_per_tok": 4,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 150000.0,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 32.0,
            "original_max_position_embeddings": 4096,
            "truncate": False,
        },
    },
    transposed=("ffn_gate_up_exps", "ffn_down_exps"),
)
