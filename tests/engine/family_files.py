"""Writes the families' models as files: Hugging Face folders, and GGUF as llama.cpp's converter."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from family_models import FamilyModel, Recorded
from formats import gguf_bytes
from made_models import Weights
from model_files import TYPES, interleaved, tokenizer_json, tokenizer_keys, write_safetensors

from webllm_py.checkpoint import GGUFWriter

__all__ = ["write_family_folder", "write_family_gguf"]

# GGUF's tensor names (its specification, "Standardized tensor names").
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
BEHIND = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
MORE_NAMES = {
    "gemma2": BEHIND,
    "gemma3": BEHIND,
    "olmo2": BEHIND,
    "phi3": {"self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"},
}
# Whose q and k rows have the two halves of a head alternate.
ALTERNATING = ("llama", "mistral3", "smollm3")
LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")


def write_family_folder(folder: Path, recorded: Recorded, weights: Weights) -> Path:
    """A Hugging Face folder; returns it."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(recorded.config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    write_safetensors(folder / "model.safetensors", weights, "F32")
    return folder


def write_family_gguf(path: Path, model: FamilyModel, recorded: Recorded, weights: Weights) -> Path:
    """A GGUF file; returns it."""
    writer = GGUFWriter()
    numbers = gguf_numbers(recorded.config)
    keys = {f"{model.gguf}.{key}": value for key, value in numbers.items() if value is not None}
    named = {"general.architecture": model.gguf, "general.name": model.name}
    for key, value in {**named, **keys, **tokenizer_keys()}.items():
        writer.add(key, value, TYPES.get(key))
    for name, weight in gguf_weights(model, recorded.config, weights).items():
        writer.add_tensor(name, weight.shape, "F32", [gguf_bytes("f32", weight)])
    with path.open("wb") as file:
        writer.write(file)
    return path


def gguf_numbers(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the converter writes of config.json."""
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    ropes = config["rope_parameters"]
    rope = ropes.get("full_attention", ropes)
    return {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": heads,
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "attention.sliding_window": config.get("sliding_window"),
        "attention.temperature_scale": rope.get("llama_4_scaling_beta"),
        "attn_logit_softcapping": config.get("attn_logit_softcapping"),
        "final_logit_softcapping": config.get("final_logit_softcapping"),
        "rope.dimension_count": int(head_dim * rope.get("partial_rotary_factor", 1)),
        "rope.freq_base": rope["rope_theta"],
        **gguf_scaling(config, rope),
    }


def gguf_scaling(config: Mapping[str, Any], rope: Mapping[str, Any]) -> dict[str, Any]:
    """Rope scaling."""
    kind, prefix = rope["rope_type"], "rope.scaling."
    original = rope.get("original_max_position_embeddings")
    match kind:
        case "linear":
            return {f"{prefix}type": kind, f"{prefix}factor": rope["factor"]}
        case "yarn":
            return {
                f"{prefix}type": kind,
                f"{prefix}factor": rope["factor"],
                f"{prefix}original_context_length": original,
                f"{prefix}yarn_log_multiplier": rope.get("mscale_all_dim"),
            }
        case "longrope":
            original = original or config["original_max_position_embeddings"]
            scale = config["max_position_embeddings"] / original
            return {
                f"{prefix}attn_factor": math.sqrt(1 + math.log(scale) / math.log(original)),
                f"{prefix}original_context_length": original,
            }
    return {}


def gguf_weights(model: FamilyModel, config: Mapping[str, Any], weights: Weights) -> Weights:
    """The tensors as the converter names and changes them."""
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    names = {**NAMES, **MORE_NAMES.get(model.gguf, {})}
    made = {}
    for source, weight in weights.items():
        stem, _, kind = source.rpartition(".")
        layer = LAYER.fullmatch(stem)
        name = names[layer[2] if layer else stem]
        if model.gguf in ALTERNATING and name in heads:
            weight = interleaved(weight, heads[name])
        if model.centered and "norm" in name:
            weight = weight + np.float32(1)
        made[f"blk.{layer[1]}.{name}.{kind}" if layer else f"{name}.{kind}"] = weight
    rope = config["rope_parameters"]
    for length in ("long", "short"):
        if f"{length}_factor" in rope:
            made[f"rope_factors_{length}.weight"] = np.float32(rope[f"{length}_factor"])
    return made
