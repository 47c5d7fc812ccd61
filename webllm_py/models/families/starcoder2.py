"""StarCoder2 (arXiv 2402.19173): LayerNorm, MLPs without a gate, biases everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """Every layer has the window, of which GGUF does not tell."""
    window = n.get("sliding_window", "attention.sliding_window", 0)
    kinds = (LayerKind(window),) * n.layers if window else ()
    found = {"norm": "layer", "gated": False, "layer_kinds": kinds}
    return {**found, "activation": "gelu_tanh"} if n.gguf else found


FAMILY = Family(
    differences,
    in_mlc=False,
    names={
        "model.layers.{}.mlp.c_fc": "blk.{}.ffn_up",
        "model.layers.{}.mlp.c_proj": "blk.{}.ffn_down",
    },
    keys={"rms_norm_eps": "norm_epsilon"},
    defaults={
        "num_key_value_heads": 2,
        "hidden_act": "gelu_pytorch_tanh",
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
    },
)
