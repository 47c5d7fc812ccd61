"""Granite 4 (IBM) without Mamba layers: Granite 3 under other names; GGUF calls it the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.errors import UnsupportedModelError
from webllm_py.models.config import LayerKind
from webllm_py.models.families import granite, granitemoe
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Some rotate nothing. Where there are experts, what all tokens go through is beside them."""
    if set(n.get("layer_types", "", ["mamba"])) - {"attention", "full_attention"}:
        raise UnsupportedModelError(
            "Granite 4's Mamba layers are not run; its models without an H in their names have none"
        )
    base = granitemoe if n.get("num_local_experts", "", 8) else granite
    rotates = n.get("position_embedding_type", "", None) == "rope"
    return {
        **base.differences(n),
        "intermediate_size": n.count("shared_intermediate_size", ""),
        "layer_kinds": () if rotates else (LayerKind(rope="none"),) * n.layers,
    }


FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        **granitemoe.FAMILY.names,
        "model.layers.{}.shared_mlp.input_linear": "blk.{}.ffn_up",
        "model.layers.{}.shared_mlp.output_linear": "blk.{}.ffn_down",
    },
    defaults={"shared_intermediate_size": 1024},
)
