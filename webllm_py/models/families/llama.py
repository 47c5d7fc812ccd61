"""LLaMA (arXiv 2302.13971), Llama 2 (2307.09288), Llama 3 (2407.21783).

GGUF has Mistral as "llama" too. Its converter reorders rows of q and k.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY", "differences"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Mistral's window is that of every layer."""
    window = n.get("sliding_window", "attention.sliding_window", 0)
    windowed = window and (n.gguf or n.architecture != "llama")
    return {"layer_kinds": (LayerKind(window),) * n.layers} if windowed else {}


FAMILY = Family(differences, adjacent_in=("gguf",))
