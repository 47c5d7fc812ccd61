"""Phi-3-vision and Phi-3.5-vision (arXiv 2404.14219): CLIP's tower (2103.00020) without its last
layer, whose patches are joined to squares and projected by an MLP."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from webllm_py.checkpoint.checkpoint import TensorInfo, VisionPart
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.images.phi3_v import phi3_v_processor
from webllm_py.models.names import gguf_names
from webllm_py.models.vision.config import VisionConfig
from webllm_py.models.vision.tower import (
    SEPARATORS,
    Projection,
    VisionModel,
    flat_patches,
    tower_names,
)

__all__ = ["phi3_v"]

CLIP = "img_processor.vision_model"
NAMES: Mapping[str, str] = {
    **tower_names(CLIP),
    f"{CLIP}.embeddings.class_embedding": "v.class_embd.weight",
    f"{CLIP}.pre_layrnorm": "v.pre_ln",
    "img_projection.0": "mm.0",
    "img_projection.2": "mm.2",
    "img_projection.linear_1": "mm.0",  # MLC's
    "img_projection.linear_2": "mm.2",
    "sub_GN": SEPARATORS[0],
    "glb_GN": SEPARATORS[1],
}
# Of the text part, or constants.
UNUSED = ("wte.weight", f"{CLIP}.embeddings.position_ids", f"{CLIP}.post_layernorm")
MERGE = 2
HEAD_DIM = 64
FEATURES = -2  # the layer whose rows are taken, the last one's being -1
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def phi3_v(part: VisionPart, text_hidden: int) -> VisionModel:
    """The declaration; arguments and errors are those of ``vision_for``."""
    used = {name: t for name, t in part.tensors.items() if not name.startswith(UNUSED)}
    tensors = gguf_names(used, NAMES)
    config = config_of(part, tensors, text_hidden)
    joined = MERGE**2 * config.hidden_size
    tensors = {name: t for name, t in tensors.items() if not beyond(name, config.n_layers)}
    tensors = flat_patches(tensors, config)
    shapes = {"v.class_embd.weight": (1, config.hidden_size)} | dict.fromkeys(SEPARATORS, (joined,))
    for name, shape in shapes.items():
        if name in tensors and math.prod(tensors[name].shape) == math.prod(shape):
            tensors[name] = replace(tensors[name], shape=shape)
    processor = phi3_v_processor(part.preprocessor, config.tile, config.grid // MERGE)
    return VisionModel(
        config,
        tensors,
        processor,
        (Projection("mm.0", joined, "gelu"), Projection("mm.2", text_hidden)),
        tiles=processor.tiles + 1,
        separators=True,
    )


def beyond(name: str, layers: int) -> bool:
    """Whether a tensor is of a layer that is not computed."""
    parts = name.split(".")
    return parts[1] == "blk" and int(parts[2]) >= layers


def config_of(
    part: VisionPart, tensors: Mapping[str, TensorInfo], text_hidden: int
) -> VisionConfig:
    """The numbers, which the tensors' shapes tell: config.json only names the tower."""
    said = part.metadata.get("embd_layer")
    options = said if isinstance(said, dict) else {}
    for name, known in (("hd_transform_order", "sub_glb"), ("projection_cls", "mlp")):
        if options.get(name, known) != known:
            raise UnsupportedModelError(f"{name} = {options[name]!r} is not run in a vision tower")
    patches = shape_of(tensors, "v.patch_embd.weight", 4)
    positions = shape_of(tensors, "v.position_embd.weight", 2)[0]
    grid = math.isqrt(max(positions - 1, 0))
    if grid * grid + 1 != positions or grid % MERGE:
        raise CorruptCheckpointError(
            f"the vision tower has {positions} positions: no square of patches and one more"
        )
    layers = len({name.split(".")[2] for name in tensors if name.startswith("v.blk.")})
    return VisionConfig(
        architecture=part.architecture,
        tile=grid * patches[2],
        patch=patches[2],
        hidden_size=patches[0],
        intermediate_size=shape_of(tensors, "v.blk.0.ffn_up.weight", 2)[0],
        n_layers=layers + 1 + FEATURES,
        n_heads=max(1, patches[0] // HEAD_DIM),
        norm_eps=1e-5,
        activation="quick_gelu",
        merge=MERGE,
        text_hidden=text_hidden,
        mean=MEAN,
        deviation=DEVIATION,
        class_token=True,
        pre_norm=True,
        post_norm=False,
    )


def shape_of(tensors: Mapping[str, TensorInfo], name: str, dimensions: int) -> tuple[int, ...]:
    """A tensor's shape, which has to have ``dimensions`` dimensions."""
    if name not in tensors or len(tensors[name].shape) != dimensions:
        raise CorruptCheckpointError(f"the vision tower lacks the tensor {name}")
    return tensors[name].shape
