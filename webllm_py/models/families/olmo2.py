"""OLMo 2 (arXiv 2501.00656): norms after attention and MLP only; queries and keys normed whole.

And OLMo 3, which GGUF calls the same: three layers with a window to one without, whose rotation
alone is scaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.families import gemma2, qwen3
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters
from webllm_py.models.rope_scaling import scaling_from_gguf

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Where norms are, and windows."""
    found: dict[str, Any] = {"pre_norm": False, "post_norm": True, "qk_norm": "whole"}
    if window := n.get("sliding_window", "attention.sliding_window", 0):
        sliding, full = LayerKind(window, "local"), LayerKind()
        found["layer_kinds"] = tuple(sliding if s else full for s in n.sliding(4))
        rope, local = n.ropes
        theta = rope.get("rope_theta", n.get("rope_theta", "rope.freq_base", 500000.0))
        found |= {"rope_theta": theta, "local_rope_theta": local.get("rope_theta", theta)}
        scaling = scaling_from_gguf(n.architecture, n.metadata) if n.gguf else None
        if scaling and (length := n.get("", "rope.scaling.attn_factor", 0.0)):
            # Elsewhere YaRN's own length is multiplied with that; here it is all of it.
            found["rope_scaling"] = replace(scaling, length=length)
    return found


FAMILY = Family(
    differences,
    names={**gemma2.NAMES, **qwen3.NAMES},
    defaults={"rms_norm_eps": 1e-5},
)
