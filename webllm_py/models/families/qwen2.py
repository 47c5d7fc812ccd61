"""Qwen2 and Qwen2.5 (arXiv 2407.10671): biases of q, k and v, found by their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["DEFAULTS", "FAMILY", "differences"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Layers from ``max_window_layers`` on may have a window, or those that config.json says."""
    if n.gguf or not n.get("use_sliding_window", "", False):
        return {}
    window, full = n.get("sliding_window", "", 0), n.get("max_window_layers", "", 28)
    sliding = n.told_sliding or [i >= full for i in range(n.layers)]
    return {"layer_kinds": tuple(LayerKind(window if s else 0) for s in sliding)}


DEFAULTS = {"max_position_embeddings": 32768, "sliding_window": 4096}
FAMILY = Family(differences, defaults=DEFAULTS)
