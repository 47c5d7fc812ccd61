"""From a Hugging Face model's config and weights to what ``MLCWriter`` takes.

For the families that kept llama's names; what mlc_llm does for them (python/mlc_llm/model).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["chat_config", "exported"]

QKV = ("q_proj", "k_proj", "v_proj")
BERT_QKV = ("query", "key", "value")
GATE_UP = ("gate_proj", "up_proj")
PHI3 = {
    "model.embed_tokens": "transformer.embd",
    "model.norm": "transformer.norm",
    "input_layernorm": "ln",
    "self_attn.qkv_proj": "mixer.qkv_proj",
    "self_attn.o_proj": "mixer.out_proj",
}
PHI = {
    "model.embed_tokens": "transformer.embd",
    "model.final_layernorm": "lm_head.ln",
    "lm_head": "lm_head.linear",
    "input_layernorm": "ln",
    "self_attn.qkv_proj": "mixer.Wqkv",
    "self_attn.dense": "mixer.out_proj",
}
RENAMED = {"phi": PHI, "phi3": PHI3}
NUMBERS = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "layer_norm_eps",
    "vocab_size",
    "tie_word_embeddings",
    "rope_scaling",
    "head_dim",
    "attention_bias",
    "hidden_act",
    "hidden_activation",
    "partial_rotary_factor",
    "rotary_pct",
    "use_parallel_residual",
    "use_qkv_bias",
    "original_max_position_embeddings",
    "query_pre_attn_scalar",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "linear_conv_kernel_dim",
    "linear_num_key_heads",
    "linear_num_value_heads",
    "linear_key_head_dim",
    "linear_value_head_dim",
)
CENTERED = ("gemma", "qwen3_5")  # norms' weights, in Hugging Face's files
TYPES = {"qwen3_5_text": "qwen3_5"}
IDS = ("pad_token_id", "bos_token_id", "eos_token_id")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def exported(weights: Mapping[str, np.ndarray], config: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The weights by mlc_llm's names: q, k and v below each other, and gate and up.

    Args:
        weights: by Hugging Face's names.
        config: config.json.
    """
    import numpy as np

    model_type = config["model_type"]
    fusions: dict[tuple[str, ...], str] = {GATE_UP: "gate_up_proj", BERT_QKV: "qkv"}
    if model_type != "gemma3_text":
        fusions[QKV] = "c_attn" if model_type.startswith("qwen") else "qkv_proj"
    made = {}
    for name, weight in weights.items():
        stem, _, kind = name.rpartition(".")
        parent, _, last = stem.rpartition(".")
        for parts, fused in fusions.items():
            if last == parts[0]:
                below = [weights[f"{parent}.{part}.{kind}"] for part in parts]
                made[f"{parent}.{fused}.{kind}"] = np.concatenate(below)
        if last == "query_key_value":
            made[name] = _heads_apart(weight, config["num_attention_heads"])
        elif not any(last in parts for parts in fusions):
            centered = model_type.startswith(CENTERED) and "norm" in last
            centered = centered and not parent.endswith("linear_attn")
            made[name] = weight + np.float32(1) if centered else weight
    return {_renamed(name, model_type): weight for name, weight in made.items()}


def _heads_apart(weight: np.ndarray, heads: int) -> np.ndarray:
    """GPT-NeoX's q, k and v of each head, as all heads' q, then all k, then all v."""
    by_head = weight.reshape(heads, 3, -1, *weight.shape[1:])
    return by_head.swapaxes(0, 1).reshape(weight.shape)


def _renamed(name: str, model_type: str) -> str:
    if model_type == "gemma3_text":
        return f"language_model.{name}"
    if name.endswith(".conv1d.weight"):
        return name.removesuffix(".weight") + "_weight"
    if model_type not in RENAMED:
        return name
    names = RENAMED[model_type]
    stem, _, kind = name.rpartition(".")
    layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)", stem)
    if layer is None:
        return f"{names.get(stem, stem)}.{kind}"
    return f"transformer.h.{layer[1]}.{names.get(layer[2], layer[2])}.{kind}"


def chat_config(
    config: Mapping[str, Any],
    *,
    conversation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """mlc-chat-config.json for a model's config.json.

    Args:
        conversation: ``conv_template``.
    """
    numbers = {key: config[key] for key in NUMBERS if config.get(key) is not None}
    rope = config.get("rope_parameters") or {}
    rope = rope.get("full_attention", rope)
    theta = rope.get("rope_theta", config.get("rope_theta", 10000))
    if "partial_rotary_factor" in rope:
        key = "rotary_pct" if config["model_type"] == "gpt_neox" else "partial_rotary_factor"
        numbers[key] = rope["partial_rotary_factor"]
    if rope.get("rope_type", "default") != "default":
        kept = {key: value for key, value in rope.items() if key != "rope_theta"}
        # Ministral's stay where transformers has them.
        numbers["rope_parameters" if "mscale" in rope else "rope_scaling"] = kept
    windows = {
        "context_window_size": config.get("max_position_embeddings", -1),
        "sliding_window_size": config.get("sliding_window") or -1,
    }
    ids = {key: config[key] for key in IDS if config.get(key) is not None}
    return {
        "version": "0.1.0",
        "model_type": TYPES.get(config["model_type"], config["model_type"]),
        "model_config": {**numbers, "position_embedding_base": theta, **windows},
        "vocab_size": config["vocab_size"],
        **windows,
        **ids,
        "tokenizer_files": list(TOKENIZER_FILES),
        **({"conv_template": dict(conversation)} if conversation else {}),
    }
