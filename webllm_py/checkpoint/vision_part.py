"""The part of a model that sees, where it reads text and images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.checkpoint.checkpoint import TensorInfo, VisionPart
from webllm_py.checkpoint.json_text import parse_object
from webllm_py.errors import MissingFileError

__all__ = ["EMBEDDED", "PREPARING", "SEEING", "split_embedded", "vision_part"]

PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"
"""Where transformers 5 says what ``PREPROCESSOR`` did, as its "image_processor"."""
SEEING = ("gemma3", "idefics3", "smolvlm")
"""Models of several parts whose images are read; of others it is the text alone."""
PREPARING = (PREPROCESSOR, PROCESSOR)
"""Files that say how images are prepared."""
EMBEDDED = {"phi3_v": "model.vision_embed_tokens."}
"""Models of one part, and what the names of those of its tensors begin with that see (with "model."
only in Hugging Face's folders)."""


def vision_part(
    name: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, TensorInfo],
    files: Mapping[str, bytes],
) -> VisionPart:
    """The seeing part of a Hugging Face folder.

    Args:
        config: of the whole model.
        tensors: all but those of its text part.

    Raises:
        MissingFileError: how images are prepared is not said.
        CorruptCheckpointError: a file is no JSON object.
    """
    prepared = None
    if PREPROCESSOR in files:
        prepared = parse_object(files[PREPROCESSOR], f"{PREPROCESSOR} of {name}")
    elif PROCESSOR in files:
        prepared = parse_object(files[PROCESSOR], f"{PROCESSOR} of {name}").get("image_processor")
    if not isinstance(prepared, dict):
        raise MissingFileError(
            f"{name} holds no {PREPROCESSOR}, which says how the model's images are prepared; "
            "take the whole folder"
        )
    return VisionPart("huggingface", str(config["model_type"]), config, tensors, prepared)


def split_embedded(
    tensors: Mapping[str, TensorInfo], prefix: str
) -> tuple[dict[str, TensorInfo], dict[str, TensorInfo]]:
    """The tensors whose names do not begin so, and those that do, without it."""
    others, seeing = {}, {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            seeing[name.removeprefix(prefix)] = tensor
        else:
            others[name] = tensor
    return others, seeing
