"""Gemma 3 (arXiv 2503.19786): SigLIP's tower (2303.15343), whose patches are averaged by squares,
normed and projected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webllm_py.checkpoint.checkpoint import VisionPart
from webllm_py.checkpoint.transposed import transposed
from webllm_py.errors import CorruptCheckpointError
from webllm_py.images.gemma3 import gemma3_processor
from webllm_py.models.names import gguf_names
from webllm_py.models.vision.config import VisionConfig
from webllm_py.models.vision.siglip import (
    in_order,
    projector_number,
    projector_prepared,
    projector_tower,
    siglip_config,
)
from webllm_py.models.vision.tower import Projection, VisionModel, flat_patches, tower_names

__all__ = ["gemma3"]

PROJECTION, NORM = "mm.input_projection", "mm.soft_emb_norm"
NAMES: Mapping[str, str] = {
    **tower_names("vision_tower.vision_model"),
    **tower_names("vision_tower"),  # as transformers 5 has it
    "multi_modal_projector.mm_input_projection_weight": f"{PROJECTION}.weight",
    "multi_modal_projector.mm_soft_emb_norm": NORM,
}
DEFAULTS: Mapping[str, Any] = {
    "image_size": 224,
    "patch_size": 16,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "layer_norm_eps": 1e-6,
    "hidden_act": "gelu_pytorch_tanh",
}
ROWS = 256  # of an image, where nothing is said
MERGE = 4  # likewise, in projector files


def gemma3(part: VisionPart, text_hidden: int) -> VisionModel:
    """The declaration; arguments and errors are those of ``vision_for``."""
    in_gguf = part.kind == "gguf"
    if in_gguf:
        tensors, part = in_order(part.tensors), as_huggingface(part)
    else:
        named = {name.removeprefix("model."): tensor for name, tensor in part.tensors.items()}
        tensors = gguf_names(named, NAMES)
    config = config_of(part, text_hidden)
    tensors = flat_patches(tensors, config)
    weight = tensors.get(f"{PROJECTION}.weight")
    if weight and len(weight.shape) == 2:  # which every kind of file has the other way round
        tensors[f"{PROJECTION}.weight"] = transposed(weight)
    return VisionModel(
        config,
        tensors,
        gemma3_processor(part.preprocessor, config.tile, config.merged),
        (Projection(PROJECTION, config.hidden_size),),
        norm=NORM,
        norm_plus=0.0 if in_gguf else 1.0,
    )


def config_of(part: VisionPart, text_hidden: int) -> VisionConfig:
    """The numbers of config.json."""
    tower = part.metadata.get("vision_config")
    if not isinstance(tower, dict):
        raise CorruptCheckpointError("config.json lacks vision_config")
    rows = part.metadata.get("mm_tokens_per_image", ROWS)
    config = siglip_config(part, tower, DEFAULTS, merge=1, text_hidden=text_hidden, average=True)
    side = math.isqrt(rows) if isinstance(rows, int) and rows > 0 else 0
    if not side or side**2 != rows or config.grid % side:
        raise CorruptCheckpointError(
            f"config.json says mm_tokens_per_image = {rows!r}, of images with {config.grid} by "
            f"{config.grid} patches"
        )
    return replace(config, merge=config.grid // side)


def as_huggingface(part: VisionPart) -> VisionPart:
    """A projector file's numbers, as the files of a folder have them.

    Raises:
        CorruptCheckpointError: one is missing.
    """
    tower = projector_tower(part)
    tile, patch = tower["image_size"], tower["patch_size"]
    merge = projector_number(part, "projector.scale_factor", MERGE)
    counts = all(isinstance(each, int) and each > 0 for each in (tile, patch, merge))
    if not counts or tile // patch % merge:
        raise CorruptCheckpointError(
            f"the projector file joins patches of {patch!r} in {tile!r} pixels by {merge!r}"
        )
    prepared = projector_prepared(part, size={"height": tile, "width": tile})
    config = {"vision_config": tower, "mm_tokens_per_image": (tile // patch // merge) ** 2}
    return replace(part, architecture="gemma3", metadata=config, preprocessor=prepared)
