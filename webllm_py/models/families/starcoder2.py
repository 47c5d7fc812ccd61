"""StarCoder2 (arXiv 2402.19173): LayerNorm, MLPs without a gate, biases everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.numbers import Numbers

__all__ = ["FAMILY"]


def differences(n: Numbers) -> Mapping[str, Any]:
    """Every layer has the window, of which GGUF does not tell."""
    window = n.get("sliding_window", "attention.sliding_window", 0)
    kinds = (LayerKind(window),) * n.layers if window else ()
    return {"norm": "layer", "gated": False, "activation": "gelu_tanh", "layer_kinds": kinds}


FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        "model.layers.{}.mlp.c_fc": "blk.{}.ffn_up",
        "model.layers.{}.mlp.c_proj": "blk.{}.ffn_down",
    },
    keys={"rms_norm_eps": "norm_epsilon"},
    defaults={"rms_norm_eps": 1e-5},
)
