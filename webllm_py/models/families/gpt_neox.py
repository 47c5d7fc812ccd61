"""GPT-NeoX (arXiv 2204.06745), Pythia, RedPajama-INCITE: LayerNorm, MLPs without a gate, q, k and v
of a head next to each other (in transformers' files)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """MLPs are beside attention, unless a model says that they are not."""
    return {
        "norm": "layer",
        "parallel": bool(n.get("use_parallel_residual", "use_parallel_residual", True)),
        "gated": False,
        **({"activation": "gelu"} if n.gguf else {}),
    }


FAMILY = Family(
    differences,
    names={
        "gpt_neox.embed_in": "token_embd",
        "gpt_neox.final_layer_norm": "output_norm",
        "embed_out": "output",
        "gpt_neox.layers.{}.input_layernorm": "blk.{}.attn_norm",
        "gpt_neox.layers.{}.attention.query_key_value": "blk.{}.attn_qkv",
        "gpt_neox.layers.{}.attention.dense": "blk.{}.attn_output",
        "gpt_neox.layers.{}.post_attention_layernorm": "blk.{}.ffn_norm",
        "gpt_neox.layers.{}.mlp.dense_h_to_4h": "blk.{}.ffn_up",
        "gpt_neox.layers.{}.mlp.dense_4h_to_h": "blk.{}.ffn_down",
    },
    keys={
        "rms_norm_eps": "layer_norm_eps",
        "partial_rotary_factor": "rotary_pct",
        "rope_theta": "rotary_emb_base",
    },
    by_head=True,
    defaults={"hidden_act": "gelu", "partial_rotary_factor": 0.25, "rms_norm_eps": 1e-5},
)
