"""SmolLM3: Llama whose every fourth layer does not rotate (NoPE, arXiv 2501.18795)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.errors import UnsupportedModelError
from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """config.json says which layers rotate; GGUF does not."""
    if not n.gguf and n.get("use_sliding_window", "", False):
        raise UnsupportedModelError("sliding windows of smollm3 are not supported")
    every = n.get("no_rope_layer_interval", "", 4)
    rotate = n.get("no_rope_layers", "", [(i + 1) % every for i in range(n.layers)])
    kinds = tuple(LayerKind(rope="global" if rotates else "none") for rotates in rotate)
    return {"layer_kinds": kinds}


FAMILY = Family(
    differences,
    in_mlc=False,
    defaults={
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "rope_theta": 2e6,
    },
    adjacent_in=("gguf",),
)
