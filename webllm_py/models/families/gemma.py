"""Gemma (arXiv 2403.08295): larger embeddings, norms stored less 1 (by transformers), GELU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY", "differences"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """What all generations share. The first one's older config.json files say "gelu" and mean its
    tanh form."""
    found: dict[str, Any] = {
        "embedding_scale": n.hidden**0.5,
        "norm_plus": 1.0 if n.as_transformers else 0.0,
    }
    tanh = n.gguf or n.architecture == "gemma"
    return {**found, "activation": "gelu_tanh"} if tanh else found


FAMILY = Family(differences, defaults={"head_dim": 256, "max_position_embeddings": 8192})
