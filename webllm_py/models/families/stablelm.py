"""StableLM 2 (arXiv 2402.17834): LayerNorm, a part of each head rotated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """The largest has MLPs beside attention, and norms of heads, of which GGUF does not tell."""
    parallel = bool(n.get("use_parallel_residual", "use_parallel_residual", False))
    normed = parallel if n.gguf else n.get("qk_layernorm", "", False)
    return {"norm": "layer", "parallel": parallel, "qk_norm": "own" if normed else None}


FAMILY = Family(
    differences,
    names={
        "model.layers.{}.self_attn.q_layernorm.norms.{}.weight": "blk.{}.attn_q_norm.{}.weight",
        "model.layers.{}.self_attn.k_layernorm.norms.{}.weight": "blk.{}.attn_k_norm.{}.weight",
    },
    keys={"rms_norm_eps": "layer_norm_eps"},
    defaults={
        "max_position_embeddings": 4096,
        "partial_rotary_factor": 0.25,
        "rms_norm_eps": 1e-5,
    },
)
