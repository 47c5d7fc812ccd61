"""GPT-2 (Radford et al., 2019): LayerNorm, a table of positions, MLPs without a gate; matrices the
other way round, but in GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.config import LayerKind
from webllm_py.models.family import Family
from webllm_py.models.numbers import Numbers

__all__ = ["FAMILY"]


def differences(n: Numbers) -> Mapping[str, Any]:
    """No layer rotates."""
    return {
        "norm": "layer",
        "gated": False,
        "activation": "gelu_tanh",
        "learned_positions": True,
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
    defaults={"intermediate_size": lambda n: 4 * n.hidden},
)
