"""The part of a Hugging Face model that reads and writes text, where others see or hear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import UnsupportedModelError

__all__ = ["split_tensors", "text_config"]

CONFIG = "text_config"
# Configs of parts that are not called so, or that the text cannot do without.
OTHERS = ("llm_config", "language_config", "thinker_config")
# What its tensors' names begin with, and what they would begin with alone.
PREFIXES = {
    "language_model.": "",
    "model.language_model.": "model.",
    "model.text_model.": "model.",
}
HEAD = "lm_head."


def text_config(name: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config of the text part, or of the whole model where it is one.

    Raises:
        UnsupportedModelError: a model of several parts that cannot be told apart.
    """
    part = config.get(CONFIG)
    if isinstance(part, dict) and part.get("model_type"):
        shared = ("tie_word_embeddings", "quantization_config", "bos_token_id", "eos_token_id")
        return {**{key: config[key] for key in shared if key in config}, **part}
    for key in (CONFIG, *OTHERS):
        if isinstance(config.get(key), dict):
            raise UnsupportedModelError(
                f"{name} is a model of several parts ({config.get('model_type')!r}: its "
                f"config.json has a {key}), which this version does not run. Take the text-only "
                "model."
            )
    return config


def split_tensors(
    tensors: Mapping[str, TensorInfo],
) -> tuple[dict[str, TensorInfo], dict[str, TensorInfo]]:
    """The tensors of the text part, by the names that they would have alone, and all others."""
    text, others = {}, {}
    for name, tensor in tensors.items():
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix is not None:
            text[PREFIXES[prefix] + name.removeprefix(prefix)] = tensor
        elif name.startswith(HEAD):
            text[name] = tensor
        else:
            others[name] = tensor
    return text, others
