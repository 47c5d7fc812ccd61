"""mlc-chat-config.json in the terms of Hugging Face's files, which all else is written for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from webllm_py.checkpoint.mlc_format import QUANTIZATIONS, Quantization
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError

__all__ = [
    "generation_config",
    "model_config",
    "pooling_files",
    "quantization_of",
    "tokenizer_files",
]

SAMPLING = (
    "temperature",
    "top_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
)
# Of Phi before transformers had it, and of StableLM.
OLD_KEYS = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_head_kv": "num_key_value_heads",
    "n_inner": "intermediate_size",
    "n_positions": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
}
OLD_TYPES = {"phi-msft": "phi", "stablelm_epoch": "stablelm"}
TEXT_TYPES = {"qwen3_5": "qwen3_5_text"}  # of models that see elsewhere
WINDOWS = 8  # of a context that is not told, as Mistral 7B has it: 4,096 and 32,768
OTHER_FILES = ("tokenizer.json", "tokenizer_config.json")  # where the config does not list any


def quantization_of(config: Mapping[str, Any], name: str) -> Quantization:
    """What the weights were quantized to.

    Raises:
        UnsupportedModelError: a quantization that this version does not run.
    """
    label = config.get("quantization")
    if not isinstance(label, str) or label not in QUANTIZATIONS:
        raise UnsupportedModelError(
            f"{name} is quantized to {label!r}, which this version does not run. It runs "
            f"{', '.join(QUANTIZATIONS)}."
        )
    return QUANTIZATIONS[label]


def model_config(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What config.json of the original model would say.

    Raises:
        CorruptCheckpointError: a field that is needed is missing or of another kind.
    """
    numbers = config.get("model_config")
    model_type = config.get("model_type")
    if not isinstance(numbers, dict) or not isinstance(model_type, str) or not model_type:
        raise CorruptCheckpointError(f"{name} has no model_type and model_config.")
    made = dict(numbers)
    if isinstance(nested := made.pop("text_config", None), dict):
        made = {**made, **nested}
    made = {OLD_KEYS.get(key, key): value for key, value in made.items()}
    made["model_type"] = {**OLD_TYPES, **TEXT_TYPES}.get(model_type, model_type)
    if theta := made.pop("position_embedding_base", None):
        made["rope_theta"] = made["rotary_emb_base"] = theta  # which GPT-NeoX calls so
    rotated, head_dim = made.pop("rotary_dim", None), made.get("head_dim")
    if isinstance(rotated, int) and isinstance(head_dim, int) and head_dim > 0:
        made["partial_rotary_factor"] = rotated / head_dim
    if not made.get("rope_scaling", True):
        del made["rope_scaling"]  # Gemma 3's is 0
    window = _window(config, made, "sliding_window_size")
    context = _window(config, made, "context_window_size")
    made.setdefault("sliding_window", None)
    if window:
        made["sliding_window"] = window
        context = context or WINDOWS * window
        sinks = config.get("attention_sink_size", made.get("attention_sink_size"))
        if isinstance(sinks, int) and sinks >= 0:
            made["attention_sink_size"] = sinks
    made["max_position_embeddings"] = made.get("max_position_embeddings") or context
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        if config.get(key) is not None:
            made[key] = config[key]
    return made


def _window(config: Mapping[str, Any], numbers: Mapping[str, Any], key: str) -> int | None:
    """A number of positions; the config stands before the model's own, and -1 for none."""
    for source in (config, numbers):
        value = source.get(key)
        if isinstance(value, int) and value > 0:
            return value
        if value is not None and value != -1:
            raise CorruptCheckpointError(f"mlc-chat-config.json says {key} = {value!r}.")
    return None


def generation_config(config: Mapping[str, Any]) -> bytes:
    """What generation_config.json of the original model would say: sampling, and what ends a text:
    also the ids at which a conversation's turn ends."""
    made = {key: config[key] for key in SAMPLING if config.get(key) is not None}
    ends = config.get("eos_token_id")
    ids = list(ends) if isinstance(ends, list) else [] if ends is None else [ends]
    template = config.get("conv_template")
    if isinstance(template, dict) and isinstance(template.get("stop_token_ids"), list):
        ids += [token for token in template["stop_token_ids"] if token not in ids]
    if ids:
        made["eos_token_id"] = ids
    if config.get("bos_token_id") is not None:
        made["bos_token_id"] = config["bos_token_id"]
    return json.dumps(made).encode()


def pooling_files(config: Mapping[str, Any]) -> dict[str, bytes]:
    """What sentence-transformers would have beside a text encoder, by the files' names.

    WebLLM takes the row of the first token; whether it is brought to length 1, its caller sees to.
    """
    said = config.get("embedding_metadata")
    said = said if isinstance(said, dict) else {}
    kinds = ["Transformer", "Pooling", *(["Normalize"] if said.get("normalize", True) else [])]
    modules = [{"type": kind, "path": kind if kind == "Pooling" else ""} for kind in kinds]
    pooling = {"pooling_mode": said.get("pooling_strategy", "cls")}
    return {
        "modules.json": json.dumps(modules).encode(),
        "Pooling/config.json": json.dumps(pooling).encode(),
    }


def tokenizer_files(config: Mapping[str, Any], known: tuple[str, ...]) -> tuple[str, ...]:
    """The tokenizer's files: those that the config lists and that are of use."""
    listed = config.get("tokenizer_files")
    if not isinstance(listed, list) or not listed:
        return OTHER_FILES
    return tuple(name for name in known if name in listed)
