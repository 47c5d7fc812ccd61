"""StableLM 2 (arXiv 2402.17834): LayerNorm, a part of each head rotated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.family import Family
from webllm_py.models.numbers import Numbers

__all__ = ["FAMILY"]


def differences(n: Numbers) -> Mapping[str, Any]:
    """The largest has MLPs beside attention."""
    parallel = n.get("use_parallel_residual", "use_parallel_residual", False)
    return {"norm": "layer", "parallel": bool(parallel)}


FAMILY = Family(
    differences,
    keys={"rms_norm_eps": "layer_norm_eps"},
    defaults={"partial_rotary_factor": 0.25},
)
