"""The part of a Hugging Face model that reads and writes text, where others see or hear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import UnsupportedModelError

__all__ = ["text_config", "text_tensors"]

CONFIG = "text_config"
# Configs of parts that are not called so, or that the text cannot do without.
OTHERS = ("llm_config", "language_config", "thinker_config")
# What its tensors' names begin with, and what they would begin with alone.
PREFIXES = {"language_model.": "", "model.language_model.": "model."}
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


def text_tensors(tensors: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """The tensors of the text part, by the names that they would have alone."""
    found = {}
    for name, tensor in tensors.items():
        if name.startswith(HEAD):
            found[name] = tensor
        for prefix, alone in PREFIXES.items():
            if name.startswith(prefix):
                found[alone + name.removeprefix(prefix)] = tensor
    return found
