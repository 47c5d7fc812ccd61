"""LLaMA (arXiv 2302.13971), Llama 2 (2307.09288), Llama 3 (2407.21783), Mistral (2310.06825).

GGUF has Mistral as "llama", whose q and k rows its converter reorders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.numbers import Numbers

__all__ = ["FAMILY", "differences"]


def differences(n: Numbers) -> Mapping[str, Any]:
    """Mistral's window is that of every layer."""
    found: dict[str, Any] = {}
    window = n.get("sliding_window", "attention.sliding_window", 0)
    if window and (n.gguf or n.architecture == "mistral"):
        found["layer_kinds"] = (LayerKind(window),) * n.layers
    return found


FAMILY = Family(differences, adjacent_in=("gguf",))
