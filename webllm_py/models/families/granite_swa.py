"""Granite with a window in three of four layers and attention sinks, IBM's "swash" models: dense
ones, and mixtures of experts, which GGUF calls the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from webllm_py.errors import UnsupportedModelError
from webllm_py.models.config import LayerKind
from webllm_py.models.families import granite, granitemoe
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Which layers have experts is found by their tensors."""
    mixed = n.get("", "expert_count", 0) if n.gguf else n.architecture == "granitemoe_swa"
    base = granitemoe if mixed else granite
    return {**base.differences(n), "sinks": True, **layers(n)}


def layers(n: HyperParameters) -> Mapping[str, Any]:
    """Windows and rotations. config.json may tell each layer's theta, 0 for none; GGUF which layers
    are rotated."""
    window = n.get("sliding_window", "attention.sliding_window", 0)
    sliding = n.told_sliding or [i % 4 > 0 for i in range(n.layers)]
    told = n.get("layer_rope_theta", "attention.rope_pattern", None) or [1] * n.layers
    rotated = [*dict.fromkeys(filter(None, told))]
    rope, _ = n.ropes
    if len(rotated) > 1 and (len(rotated) > 2 or rope.get("rope_type", "default") != "default"):
        raise UnsupportedModelError(
            "layers with more than two values of rope_theta, or with two that are scaled, are not "
            "supported"
        )
    kinds = []
    for slides, theta in zip(sliding, told, strict=True):
        own: Literal["global", "local", "none"] = "none"
        if theta:
            own = "global" if theta == rotated[0] else "local"
        kinds.append(LayerKind(window if slides else 0, own))
    found: dict[str, Any] = {"layer_kinds": tuple(kinds)}
    if rotated and not n.gguf and n.get("layer_rope_theta", "", None):
        found |= {"rope_theta": rotated[0], "local_rope_theta": rotated[-1]}
    return found


FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        **granitemoe.FAMILY.names,
        "model.layers.{}.self_attn.sinks": "blk.{}.attn_sinks.weight",
    },
    defaults={
        "num_key_value_heads": 4,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "sliding_window": 128,
    },
    adjacent_in=("gguf",),
)
