"""Granite 3 (IBM): Llama whose embeddings, residuals, scores and logits are scaled (µP, arXiv
2203.03466)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY", "differences"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Both kinds of files have what logits are divided by."""
    scale = n.get("attention_multiplier", "attention.scale", 0.0 if n.gguf else 1.0)
    return {
        "embedding_scale": n.get("embedding_multiplier", "embedding_scale", 1.0),
        "residual_scale": n.get("residual_multiplier", "residual_scale", 1.0),
        "attention_scale": scale,
        "logit_scale": 1 / n.get("logits_scaling", "logit_scale", 1.0),
    }


FAMILY = Family(differences, in_mlc=False, adjacent_in=("gguf",))
