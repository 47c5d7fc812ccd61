"""Writes the families' models as GGUF, as llama.cpp's converter does."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from family_gguf_names import MORE_NAMES, NAMES
from formats import gguf_bytes
from made_families import FamilyModel, Recorded
from made_models import Weights
from model_files import TYPES, interleaved, tokenizer_keys
from reference import rotary_frequencies

from webllm_py.checkpoint import GGUFWriter

__all__ = ["write_family_gguf"]

# Whose q and k rows have the two halves of a head alternate.
ALTERNATING = ("llama", "mistral3", "smollm3", "granite", "granitemoe", "granite_swa")
# Whose files tell which layers have a sliding window.
PATTERNED = ("olmo3", "exaone4", "granite_swa", "granitemoe_swa")
LAYER = re.compile(r"(?:model\.layers|gpt_neox\.layers|transformer\.h)\.(\d+)\.(.+)")


def write_family_gguf(
    path: Path,
    model: FamilyModel,
    recorded: Recorded,
    weights: Weights,
    experts: Mapping[str, bytes] | None = None,
    *,
    keys: Mapping[str, Any] | None = None,
    apart: Mapping[str, str] | None = None,
) -> Path:
    """A GGUF file; returns it.

    Args:
        experts: tensors in MXFP4.
        keys: more keys, or others in the place of some.
        apart: formats that some tensors have in a file with tensors of each expert, as those of
            Mixtral first were; None for a file like today's.
    """
    writer = GGUFWriter()
    numbers = gguf_numbers(recorded.config)
    own = {f"{model.gguf}.{key}": value for key, value in numbers.items() if value is not None}
    named = {"general.architecture": model.gguf, "general.name": model.name}
    for key, value in {**named, **own, **tokenizer_keys(), **(keys or {})}.items():
        writer.add(key, value, TYPES.get(key))
    made = gguf_weights(model, recorded.config, weights)
    for name, weight in (made if apart is None else with_experts_apart(made)).items():
        fmt = (apart or {}).get(name, "F32")
        writer.add_tensor(name, weight.shape, fmt, [gguf_bytes(fmt.lower(), weight)])
    for name, data in (experts or {}).items():
        c = recorded.config
        count, hidden, inner = (
            c[key] for key in ("num_local_experts", "hidden_size", "intermediate_size")
        )
        shape = (count, hidden, inner) if "down" in name else (count, inner, hidden)
        writer.add_tensor(name, shape, "MXFP4", [data])
    with path.open("wb") as file:
        writer.write(file)
    return path


def gguf_numbers(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the converter writes of config.json."""
    if "n_embd" in config:
        return {
            "context_length": config["n_positions"],
            "embedding_length": config["n_embd"],
            "block_count": config["n_layer"],
            "feed_forward_length": config["n_inner"],
            "attention.head_count": config["n_head"],
            "attention.layer_norm_epsilon": config["layer_norm_epsilon"],
        }
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    ropes = config["rope_parameters"]
    rope = ropes.get("full_attention", ropes)
    return {
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": mlp_size(config),
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads(config),
        "attention.key_length": config.get("head_dim"),
        "attention.value_length": config.get("head_dim"),
        "attention.layer_norm_rms_epsilon": config.get("rms_norm_eps", config.get("norm_eps")),
        "attention.layer_norm_epsilon": config.get("layer_norm_eps", config.get("norm_epsilon")),
        "use_parallel_residual": config.get("use_parallel_residual"),
        "attention.sliding_window": config.get("sliding_window"),
        "attention.sliding_window_pattern": sliding(config),
        "attention.rope_pattern": [*map(bool, config.get("layer_rope_theta", ()))] or None,
        "attention.scale": config.get("attention_multiplier"),
        "embedding_scale": config.get("embedding_multiplier"),
        "residual_scale": config.get("residual_multiplier"),
        "logit_scale": config.get("logits_scaling", config.get("logit_scale")),
        "attention.temperature_scale": rope.get("llama_4_scaling_beta"),
        "attn_logit_softcapping": config.get("attn_logit_softcapping"),
        "final_logit_softcapping": config.get("final_logit_softcapping"),
        "expert_count": config.get("num_local_experts", config.get("num_experts")),
        "expert_used_count": config.get("num_experts_per_tok"),
        "expert_feed_forward_length": expert_size(config),
        "expert_shared_feed_forward_length": config.get(
            "shared_expert_intermediate_size", config.get("shared_intermediate_size")
        ),
        "rope.dimension_count": int(head_dim * rope.get("partial_rotary_factor", 1)),
        "rope.freq_base": rope["rope_theta"],
        **gguf_scaling(config, rope),
        "shortconv.l_cache": config.get("conv_L_cache"),
        **gguf_delta(config),
    }


def kv_heads(config: Mapping[str, Any]) -> int | list[int] | None:
    """How many there are; llama.cpp's converter says it of each layer of Granite 4 and of LFM2."""
    heads: int | None = config.get("num_key_value_heads")
    if heads and config["model_type"] == "granitemoehybrid":
        return [heads] * config["num_hidden_layers"]
    if heads and "conv_L_cache" in config:
        return [0 if kind == "conv" else heads for kind in config["layer_types"]]
    return heads


def expert_size(config: Mapping[str, Any]) -> int | None:
    """Of the families whose files tell it apart from MLPs' size."""
    key = "intermediate_size" if config["model_type"] == "gpt_oss" else "moe_intermediate_size"
    return config.get(key)


def mlp_size(config: Mapping[str, Any]) -> int | None:
    """LFM2's is adjusted."""
    size: int | None = config.get("intermediate_size")
    if size is None or not config.get("block_auto_adjust_ff_dim"):
        return size
    blocks = int(config["block_ffn_dim_multiplier"] * int(2 * size / 3))
    return -(-blocks // config["block_multiple_of"]) * config["block_multiple_of"]


def sliding(config: Mapping[str, Any]) -> list[bool] | None:
    """Which layers have a window, of the families whose files tell it."""
    if config["model_type"] not in PATTERNED or not config.get("sliding_window"):
        return None
    return [kind == "sliding_attention" for kind in config["layer_types"]]


def gguf_delta(config: Mapping[str, Any]) -> dict[str, Any]:
    """Gated delta nets."""
    if "linear_num_key_heads" not in config:
        return {}
    v_heads = config["linear_num_value_heads"]
    return {
        "ssm.conv_kernel": config["linear_conv_kernel_dim"],
        "ssm.state_size": config["linear_key_head_dim"],
        "ssm.group_count": config["linear_num_key_heads"],
        "ssm.time_step_rank": v_heads,
        "ssm.inner_size": config["linear_value_head_dim"] * v_heads,
        "full_attention_interval": config["layer_types"].index("full_attention") + 1,
    }


def tiled_heads(name: str, weight: np.ndarray, config: Mapping[str, Any]) -> np.ndarray:
    """A tensor of a delta net as the converter changes it: value heads in an order in which those
    of one key head are not together, the decay as what the step is multiplied with."""
    k_heads, v_heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
    groups = (k_heads, v_heads // k_heads)
    values = v_heads * config["linear_value_head_dim"]

    def tiled(part: np.ndarray) -> np.ndarray:
        heads = part.reshape(*groups, -1, *part.shape[1:])
        return np.ascontiguousarray(heads.swapaxes(0, 1).reshape(part.shape))

    if name == "ssm_a":
        return tiled(-np.exp(weight))
    if name in ("attn_qkv", "ssm_conv1d"):
        weight = weight.squeeze()
        return np.concatenate([weight[:-values], tiled(weight[-values:])])
    if name == "ssm_out":
        return np.ascontiguousarray(tiled(weight.T).T)
    return tiled(weight) if name != "ssm_norm" else weight


def gguf_scaling(config: Mapping[str, Any], rope: Mapping[str, Any]) -> dict[str, Any]:
    """Rope scaling."""
    kind, prefix = rope["rope_type"], "rope.scaling."
    original = rope.get("original_max_position_embeddings")
    match kind:
        case "linear":
            return {f"{prefix}type": kind, f"{prefix}factor": rope["factor"]}
        case "yarn":
            # OLMo 3's first files.
            attn_factor = "attn_factor" if config["model_type"] == "olmo3" else "yarn_attn_factor"
            return {
                f"{prefix}type": kind,
                f"{prefix}factor": rope["factor"],
                f"{prefix}original_context_length": original,
                f"{prefix}{attn_factor}": rope.get("attention_factor"),
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


EXPERT = re.compile(r"(model\.layers\.\d+\.\w+\.)experts\.(\d+)\.(\w+)(\.weight)")
HEAD = re.compile(r"(model\.layers\.\d+\.self_attn\.[qk])_layernorm\.norms\.(\d+)(\.weight)")


def with_experts_together(weights: Weights, *, fused: bool) -> Weights:
    """The same, but one tensor for what each expert has, and two where it has gate and up, if these
    are not to stay ``fused``."""
    found: dict[str, list[np.ndarray]] = {}
    others = {}
    for name, weight in sorted(weights.items()):
        if expert := EXPERT.fullmatch(name):
            found.setdefault(f"{expert[1]}{expert[3]}_exps{expert[4]}", []).append(weight)
        elif head := HEAD.fullmatch(name):
            found.setdefault(f"{head[1]}_norm{head[3]}", []).append(weight)
        elif ".experts." in name and not fused:
            stem, _, inner = name.partition("experts.")
            part, _, kind = inner.partition("_proj")
            kind = "bias" if kind else "weight"
            turned = weight if kind == "bias" else np.ascontiguousarray(weight.swapaxes(1, 2))
            for i, half in enumerate(part.split("_")):
                step = part.count("_") + 1
                others[f"{stem}{half}_exps.{kind}"] = np.ascontiguousarray(turned[:, i::step])
        elif ".input_linear" in name and not fused:
            for half, part in zip(("gate", "up"), np.split(weight, 2, -2), strict=True):
                others[name.replace("input_linear", half)] = np.ascontiguousarray(part)
        elif name.endswith(".sinks"):
            others[f"{name}.weight"] = weight
        else:
            others[name] = weight
    return {**others, **{name: np.stack(experts) for name, experts in found.items()}}


def with_experts_apart(weights: Weights) -> Weights:
    """GGUF's tensors, but one of each expert."""
    others = {name: weight for name, weight in weights.items() if "_exps." not in name}
    for name in weights.keys() - others.keys():
        stem, kind = name.split("_exps")
        others |= {f"{stem}.{i}{kind}": expert for i, expert in enumerate(weights[name])}
    return others


def gguf_weights(model: FamilyModel, config: Mapping[str, Any], weights: Weights) -> Weights:
    """The tensors as the converter names and changes them, but those that are in MXFP4."""
    weights = {name: weight for name, weight in weights.items() if weight.dtype != np.uint8}
    names = {**NAMES, **MORE_NAMES.get(model.gguf, {})}
    made, fused = {}, model.gguf == "granite_swa"
    for source, weight in with_experts_together(weights, fused=fused).items():
        stem, _, kind = source.rpartition(".")
        if kind not in ("weight", "bias"):
            stem, kind = source, ""
        layer = LAYER.fullmatch(stem)
        name = names[layer[2] if layer else stem]
        if model.gguf in ALTERNATING and name in ("attn_q", "attn_k"):
            key = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}[name]
            weight = interleaved(weight, config[key])
        if model.gguf == "gptneox" and name == "attn_qkv":
            # From q, k and v of each head to all of q, of k, and of v.
            heads = weight.reshape(config["num_attention_heads"], 3, -1, *weight.shape[1:])
            weight = np.ascontiguousarray(heads.swapaxes(0, 1).reshape(weight.shape))
        if model.gguf == "gpt2" and weight.ndim == 2 and not name.endswith("embd"):
            weight = np.ascontiguousarray(weight.T)
        if ".linear_attn." in source:
            weight = tiled_heads(name, weight, config)
        elif model.centered and "norm" in name:
            weight = weight + np.float32(1)
        if name.endswith(("inp_shexp", "shortconv.conv")):
            weight = weight.squeeze()
        name = f"{name}.{kind}".rstrip(".")
        made[f"blk.{layer[1]}.{name}" if layer else name] = weight
    rope = config.get("rope_parameters", {})
    for length in ("long", "short"):
        if f"{length}_factor" in rope:
            made[f"rope_factors_{length}.weight"] = np.float32(rope[f"{length}_factor"])
    if rope.get("rope_type") == "llama3":
        plain, scaled = (
            rotary_frequencies({**rope, "rope_scaling": scaling}, config["head_dim"])
            for scaling in (None, rope)
        )
        made["rope_freqs.weight"] = (plain / scaled).astype(np.float32)
    return made
