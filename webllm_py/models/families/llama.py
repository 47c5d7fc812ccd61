"""LLaMA (arXiv 2302.13971), Llama 2 (2307.09288), Llama 3 (2407.21783).

GGUF has Mistral and Mixtral as "llama" too. Its converter reorders rows of q and k; of Mixtral it
first made tensors of each expert.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY", "differences"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Mistral's window is that of every layer; Mixtral has experts in every layer."""
    found: dict[str, Any] = {}
    window = n.get("sliding_window", "attention.sliding_window", 0)
    if window and (n.gguf or n.architecture != "llama"):
        found["layer_kinds"] = (LayerKind(window),) * n.layers
    if n.get("", "expert_count", 0) if n.gguf else n.architecture == "mixtral":
        found["n_experts"] = n.get("num_local_experts", "expert_count", 8)
        found["n_experts_used"] = n.get("num_experts_per_tok", "expert_used_count", 2)
        found["expert_size"] = n.get("intermediate_size", "feed_forward_length")
    return found


FAMILY = Family(
    differences,
    gguf_names={
        f"blk.{{}}.{name}.{{}}.weight": f"blk.{{}}.{name}_exps.{{}}.weight"
        for name in ("ffn_gate", "ffn_up", "ffn_down")
    },
    adjacent_in=("gguf",),
)
