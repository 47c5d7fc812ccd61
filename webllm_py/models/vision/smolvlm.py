"""SmolVLM, SmolVLM2 (arXiv 2504.05299) and Idefics3 (2408.12637): SigLIP's tower (2303.15343).

Its patches are joined to squares (pixel shuffle) and projected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webllm_py.checkpoint.checkpoint import VisionPart
from webllm_py.errors import CorruptCheckpointError
from webllm_py.images.smolvlm import smolvlm_processor
from webllm_py.models.names import gguf_names
from webllm_py.models.vision.siglip import (
    in_order,
    projector_number,
    projector_prepared,
    projector_tower,
    siglip_config,
)
from webllm_py.models.vision.tower import Projection, VisionModel, flat_patches, tower_names

__all__ = ["smolvlm"]

NAMES: Mapping[str, str] = {
    **tower_names("model.vision_model"),
    "model.connector.modality_projection.proj": "mm.model.fc",
}
DEFAULTS: Mapping[str, Any] = {
    "image_size": 224,
    "patch_size": 32,
    "hidden_size": 1152,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "layer_norm_eps": 1e-6,
    "hidden_act": "gelu_pytorch_tanh",
}


def smolvlm(part: VisionPart, text_hidden: int) -> VisionModel:
    """The declaration; arguments and errors are those of ``vision_for``."""
    if part.kind == "gguf":
        tensors, part = in_order(part.tensors), as_huggingface(part)
    else:
        tensors = gguf_names(part.tensors, NAMES)
    tower = part.metadata.get("vision_config")
    if not isinstance(tower, dict):
        raise CorruptCheckpointError("config.json lacks vision_config")
    merge = part.metadata.get("scale_factor", 2)
    config = siglip_config(part, tower, DEFAULTS, merge=merge, text_hidden=text_hidden)
    return VisionModel(
        config,
        flat_patches(tensors, config),
        smolvlm_processor(part.preprocessor, config.tile, config.merged),
        (Projection("mm.model.fc", config.merge**2 * config.hidden_size),),
    )


def as_huggingface(part: VisionPart) -> VisionPart:
    """A projector file's numbers, as the files of a folder have them.

    Raises:
        CorruptCheckpointError: one is missing.
    """
    tower = projector_tower(part)
    tile = tower["image_size"]
    prepared = projector_prepared(
        part,
        size={"longest_edge": projector_number(part, "preproc_image_size", tile)},
        max_image_size={"longest_edge": tile},
    )
    config = {
        "vision_config": tower,
        "scale_factor": projector_number(part, "projector.scale_factor"),
    }
    return replace(part, architecture="idefics3", metadata=config, preprocessor=prepared)
