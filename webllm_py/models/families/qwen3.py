"""Qwen3 (arXiv 2505.09388): queries and keys are normed by head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import Family
from webllm_py.models.families import qwen2
from webllm_py.models.numbers import Numbers

__all__ = ["FAMILY"]


def differences(n: Numbers) -> Mapping[str, Any]:
    """Heads need not be hidden / heads long: config.json's default is 128."""
    head_dim = {} if n.gguf else {"head_dim": n.get("head_dim", "", 128)}
    return {**qwen2.differences(n), **head_dim, "qk_norm": "head"}


FAMILY = Family(
    differences,
    names={
        "model.layers.{}.self_attn.q_norm": "blk.{}.attn_q_norm",
        "model.layers.{}.self_attn.k_norm": "blk.{}.attn_k_norm",
    },
)
