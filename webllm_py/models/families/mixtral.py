"""Mixtral (arXiv 2401.04088): Mistral with a mixture of experts in every layer."""

from __future__ import annotations

from webllm_py.models.families import llama
from webllm_py.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    llama.differences,
    in_mlc=False,
    names={
        "model.layers.{}.block_sparse_moe.gate": "blk.{}.ffn_gate_inp",
        "model.layers.{}.block_sparse_moe.experts.{}.w1": "blk.{}.ffn_gate_exps.{}",
        "model.layers.{}.block_sparse_moe.experts.{}.w3": "blk.{}.ffn_up_exps.{}",
        "model.layers.{}.block_sparse_moe.experts.{}.w2": "blk.{}.ffn_down_exps.{}",
    },
    defaults={
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
    },
)
