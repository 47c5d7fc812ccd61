"""GPT-2 (Radford et al., 2019): LayerNorm, a table of positions, MLPs without a gate; matrices the
other way round, but in GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.errors import UnsupportedModelError
from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.hyperparameters import HyperParameters

__all__ = ["FAMILY"]


def differences(n: HyperParameters) -> Mapping[str, Any]:
    """No layer rotates."""
    if not n.gguf and n.get("scale_attn_by_inverse_layer_idx", "", False):
        raise UnsupportedModelError("scores that are divided by the layer's number are not run")
    return {
        "norm": "layer",
        "gated": False,
        **({"activation": "gelu_tanh"} if n.gguf else {}),
        "learned_positions": True,
        "attention_scale": 0.0 if n.get("scale_attn_weights", "", True) else 1.0,
        "layer_kinds": (LayerKind(rope="none"),) * n.layers,
    }


TENSORS = {
    "wte": "token_embd",
    "wpe": "position_embd",
    "ln_f": "output_norm",
    "h.{}.ln_1": "blk.{}.attn_norm",
    "h.{}.attn.c_attn": "blk.{}.attn_qkv",
    "h.{}.attn.c_proj": "blk.{}.attn_output",
    "h.{}.ln_2": "blk.{}.ffn_norm",
    "h.{}.mlp.c_fc": "blk.{}.ffn_up",
    "h.{}.mlp.c_proj": "blk.{}.ffn_down",
}
FAMILY = Family(
    differences,
    in_mlc=False,
    # Some files leave the first part out.
    names={**TENSORS, **{f"transformer.{name}": known for name, known in TENSORS.items()}},
    transposed=("attn_qkv", "attn_output", "ffn_up", "ffn_down"),
    keys={
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "n_inner",
        "max_position_embeddings": "n_positions",
        "rms_norm_eps": "layer_norm_epsilon",
        "hidden_act": "activation_function",
    },
    defaults={
        "intermediate_size": lambda n: 4 * n.hidden,
        "hidden_act": "gelu_new",
        "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-5,
    },
)
