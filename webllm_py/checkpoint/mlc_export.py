"""From a Hugging Face model's config and weights to what ``MLCWriter`` takes.

For the families that kept llama's names; what mlc_llm does for them (python/mlc_llm/model).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["chat_config", "fused"]

FUSED = {
    "q_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_proj": ("gate_proj", "up_proj"),
}
NUMBERS = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "rms_norm_eps",
    "vocab_size",
    "tie_word_embeddings",
    "rope_scaling",
    "head_dim",
    "attention_bias",
)
IDS = ("pad_token_id", "bos_token_id", "eos_token_id")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def fused(weights: Mapping[str, np.ndarray], model_type: str) -> dict[str, np.ndarray]:
    """The weights, those of q, k and v below each other, and gate and up.

    Args:
        weights: by Hugging Face's names.
        model_type: as in config.json; qwen2 and qwen3 have another name for the first three.
    """
    import numpy as np

    qkv = "c_attn" if model_type.startswith("qwen") else "qkv_proj"
    made = {}
    for name, weight in weights.items():
        match = re.fullmatch(r"(.*\.)(\w+_proj)(\.\w+)", name)
        if match is None or not any(match[2] in parts for parts in FUSED.values()):
            made[name] = weight
        elif match[2] in FUSED:
            new = qkv if match[2] == "q_proj" else "gate_up_proj"
            parts = [weights[match[1] + part + match[3]] for part in FUSED[match[2]]]
            made[match[1] + new + match[3]] = np.concatenate(parts)
    return made


def chat_config(
    config: Mapping[str, Any],
    *,
    conversation: Mapping[str, Any] | None = None,
    generation: Mapping[str, Any] | None = None,
    tokenizer_files: Sequence[str] = TOKENIZER_FILES,
) -> dict[str, Any]:
    """mlc-chat-config.json for a model's config.json.

    Args:
        conversation: ``conv_template``.
        generation: generation_config.json: sampling settings and ids.
    """
    numbers = {key: config[key] for key in NUMBERS if config.get(key) is not None}
    rope = config.get("rope_parameters") or {}
    theta = rope.get("rope_theta", config.get("rope_theta", 10000))
    if "rope_type" in rope and rope["rope_type"] != "default":
        numbers["rope_scaling"] = {k: v for k, v in rope.items() if k != "rope_theta"}
    windows = {
        "context_window_size": config.get("max_position_embeddings", -1),
        "sliding_window_size": config.get("sliding_window") or -1,
    }
    ids = {key: config[key] for key in IDS if config.get(key) is not None}
    return {
        "version": "0.1.0",
        "model_type": config["model_type"],
        "model_config": {**numbers, "position_embedding_base": theta, **windows},
        "vocab_size": config["vocab_size"],
        **windows,
        **ids,
        **(generation or {}),
        "tokenizer_files": list(tokenizer_files),
        **({"conv_template": dict(conversation)} if conversation else {}),
    }
