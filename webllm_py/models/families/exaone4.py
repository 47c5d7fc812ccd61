"""EXAONE 4 (arXiv 2507.11407): norms after attention and MLP only, queries and keys normed by
head; in the larger models three layers that have a window and rotate to one that does neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.families import gemma2, qwen3
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Without a window, every layer rotates."""
    found: dict[str, Any] = {"pre_norm": False, "post_norm": True, "qk_norm": "head"}
    if window := n.get("sliding_window", "attention.sliding_window", 0):
        sliding, full = LayerKind(window), LayerKind(rope="none")
        found["layer_kinds"] = tuple(sliding if s else full for s in n.sliding(4))
    return found


FAMILY = Family(
    differences,
    in_mlc=False,
    names={**gemma2.NAMES, **qwen3.NAMES},
    defaults={"rms_norm_eps": 1e-5, "sliding_window": 4096},
)
