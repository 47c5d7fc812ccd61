"""Gemma 2 (arXiv 2408.00118): norms after attention and MLP, softcaps, a window in every second
layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.families import gemma
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY", "KEYS", "NAMES", "differences", "scale"]

NAMES = {
    "model.layers.{}.post_attention_layernorm": "blk.{}.post_attention_norm",
    "model.layers.{}.pre_feedforward_layernorm": "blk.{}.ffn_norm",
    "model.layers.{}.post_feedforward_layernorm": "blk.{}.post_ffw_norm",
}
KEYS = {"hidden_act": "hidden_activation"}
LARGEST = 46
"""Layers of Gemma 2 27B."""
SOFTCAPS = 50.0, 30.0
"""Of scores and of logits."""


def scale(n: HyperParameters, largest: int) -> float:
    """The scale of scores. GGUF lacks it: all but the largest model divide by sqrt(head_dim)."""
    if not n.gguf:
        return float(n.get("query_pre_attn_scalar", "", 256) ** -0.5)
    if n.layers == largest:
        return float((n.hidden / n.count("", "attention.head_count")) ** -0.5)
    return 0.0


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """A window in the first layer, none in the second, and so on."""
    window = n.get("sliding_window", "attention.sliding_window", 4096) or 0
    head_dim = n.get("head_dim", "attention.key_length", 256)
    # Which the first GGUF files do not tell.
    scores, logits = SOFTCAPS if n.gguf and n.architecture == "gemma2" else (0.0, 0.0)
    return {
        **gemma.differences(n),
        "head_dim": head_dim,
        "rotary_dim": head_dim,
        "post_norm": True,
        "attention_scale": scale(n, LARGEST),
        "attention_softcap": n.get("attn_logit_softcapping", "attn_logit_softcapping", scores),
        "output_softcap": n.get("final_logit_softcapping", "final_logit_softcapping", logits),
        "layer_kinds": tuple(LayerKind(window if s else 0) for s in n.sliding(2)),
    }


FAMILY = Family(
    differences,
    names=NAMES,
    keys=KEYS,
    defaults={
        "hidden_act": "gelu_pytorch_tanh",
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 8192,
        "attn_logit_softcapping": SOFTCAPS[0],
        "final_logit_softcapping": SOFTCAPS[1],
    },
)
