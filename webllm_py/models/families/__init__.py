"""A file a family: what sets it apart from llama."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from webllm_py.errors import UnsupportedModelError
from webllm_py.models.family import Family

__all__ = ["ENCODERS", "FAMILIES", "family_of"]

# GGUF's general.architecture, or config.json's model_type -> the family's file here.
FAMILIES: Mapping[str, str] = {
    "llama": "llama",
    "mistral": "llama",
    "ministral3": "ministral3",
    "mistral3": "ministral3",
    "smollm3": "smollm3",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3_moe",
    "qwen3moe": "qwen3_moe",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3": "gemma3",
    "gemma3_text": "gemma3",
    "phi3": "phi3",
    "phi3_v": "phi3",
    "olmo2": "olmo2",
    "gpt_oss": "gpt_oss",
    "gpt-oss": "gpt_oss",
    "stablelm": "stablelm",
    "phi": "phi",
    "phi2": "phi",
    "gpt_neox": "gpt_neox",
    "gptneox": "gpt_neox",
    "gpt2": "gpt2",
}

# Those of text encoders: ``models.bert.encoder_for``.
ENCODERS = ("bert", "roberta", "xlm-roberta")


def family_of(architecture: str) -> Family:
    """The family of an architecture; its file is imported when it is asked for.

    Raises:
        UnsupportedModelError: an architecture that this version does not run.
    """
    if architecture not in FAMILIES:
        raise UnsupportedModelError(
            f"the architecture {architecture!r} is not supported; this version runs "
            f"{', '.join(FAMILIES)}, and as text embedders {', '.join(ENCODERS)}"
        )
    family: Family = import_module(f"{__name__}.{FAMILIES[architecture]}").FAMILY
    return family
