"""Qwen3 (arXiv 2505.09388): queries and keys are normed by head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.families import qwen2
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY", "NAMES", "differences"]

NAMES = {
    "model.layers.{}.self_attn.q_norm": "blk.{}.attn_q_norm",
    "model.layers.{}.self_attn.k_norm": "blk.{}.attn_k_norm",
}


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Heads need not be hidden / heads long."""
    head_dim = n.get("head_dim", "attention.key_length", 128)
    norm = {"qk_norm": "head", "head_dim": head_dim, "rotary_dim": head_dim}
    return {**qwen2.differences(n), **norm}


FAMILY = Family(differences, names=NAMES, defaults=qwen2.DEFAULTS)
