"""The part of a model that sees, where it reads text and images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.checkpoint.checkpoint import TensorInfo, VisionPart
from webllm_py.checkpoint.json_text import parse_object
from webllm_py.errors import MissingFileError

__all__ = ["PREPROCESSOR", "SEEING", "vision_part"]

PREPROCESSOR = "preprocessor_config.json"
SEEING = ("idefics3", "smolvlm")
"""Models of several parts whose images are read; of others it is the text alone."""


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
    if PREPROCESSOR not in files:
        raise MissingFileError(
            f"{name} holds no {PREPROCESSOR}, which says how the model's images are prepared; "
            "take the whole folder"
        )
    prepared = parse_object(files[PREPROCESSOR], f"{PREPROCESSOR} of {name}")
    return VisionPart("huggingface", str(config["model_type"]), config, tensors, prepared)
