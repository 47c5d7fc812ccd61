"""Command R7B, Command A (arXiv 2504.00698), Tiny Aya: Command R with three layers that have a
window and rotate to one that does neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.families import cohere
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Nothing is normed by head."""
    window = n.get("sliding_window", "attention.sliding_window", 4096) or 0
    sliding, full = LayerKind(window), LayerKind(rope="none")
    kinds = tuple(sliding if s else full for s in n.sliding(4))
    return {**cohere.differences(n), "qk_norm": None, "layer_kinds": kinds}


FAMILY = Family(
    differences,
    in_mlc=False,
    keys={"rms_norm_eps": "layer_norm_eps"},
    defaults={"rms_norm_eps": 1e-5},
    adjacent_in=("huggingface", "gguf"),
)
