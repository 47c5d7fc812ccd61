"""A file a family: what sets it apart from llama."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from webllm_py.errors import UnsupportedModelError
from webllm_py.models.family import Family

__all__ = ["ENCODERS", "FAMILIES", "family_of"]

# Further names of what a file is for: a file's own name is config.json's model_type, and mostly
# GGUF's general.architecture as well.
ALIASES: Mapping[str, str] = {
    "mistral3": "ministral3",
    "qwen2moe": "qwen2_moe",
    "qwen3moe": "qwen3_moe",
    "granitemoeshared": "granitemoe",
    "qwen35": "qwen3_5_text",
    "qwen35moe": "qwen3_5_moe_text",
    "lfm2moe": "lfm2_moe",
    "gemma3_text": "gemma3",
    "phi3_v": "phi3",
    "gpt-oss": "gpt_oss",
    "phi2": "phi",
    "gptneox": "gpt_neox",
    "command-r": "cohere",
}
# GGUF's general.architecture, or config.json's model_type -> the family's file here.
FAMILIES: Mapping[str, str] = {
    **{module.name: module.name for module in iter_modules(__path__)},
    **ALIASES,
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
