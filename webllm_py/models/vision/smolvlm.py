"""SmolVLM, SmolVLM2 (arXiv 2504.05299) and Idefics3 (2408.12637): SigLIP's tower (2303.15343).

Its patches are joined to squares (pixel shuffle) and projected.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from webllm_py.checkpoint.checkpoint import TensorInfo, VisionPart
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.images.smolvlm import smolvlm_processor
from webllm_py.models.names import gguf_names
from webllm_py.models.vision.config import VisionActivation, VisionConfig
from webllm_py.models.vision.tower import Projection, VisionModel, flat_patches, tower_names

__all__ = ["smolvlm"]

VISION = "model.vision_model"
NAMES: Mapping[str, str] = {
    **tower_names(VISION),
    "model.connector.modality_projection.proj": "mm.model.fc",
}
# As config.json has them.
ACTIVATIONS: Mapping[str, VisionActivation] = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
}


def smolvlm(part: VisionPart, text_hidden: int) -> VisionModel:
    """The declaration; arguments and errors are those of ``vision_for``."""
    if part.kind == "gguf":
        tensors, part = in_order(part.tensors), as_huggingface(part)
    else:
        tensors = gguf_names(part.tensors, NAMES)
    config = config_of(part, text_hidden)
    patches = tensors.get("v.patch_embd.weight")
    if patches:
        tensors["v.patch_embd.weight"] = flat_patches(patches, config)
    return VisionModel(
        config,
        tensors,
        smolvlm_processor(part.preprocessor, config.tile, config.merged),
        (Projection("mm.model.fc", config.merge**2 * config.hidden_size),),
    )


def config_of(part: VisionPart, text_hidden: int) -> VisionConfig:
    """The numbers of config.json; defaults are those of transformers' own config classes."""
    c = part.metadata.get("vision_config")
    if not isinstance(c, dict):
        raise CorruptCheckpointError("config.json lacks vision_config")
    activation = c.get("hidden_act", "gelu_pytorch_tanh")
    if activation not in ACTIVATIONS:
        raise UnsupportedModelError(f"the activation {activation!r} is not run in a vision tower")
    if c.get("num_channels", 3) != 3:
        raise UnsupportedModelError("images of other than three colours are not read")
    return VisionConfig(
        architecture=part.architecture,
        tile=c.get("image_size", 224),
        patch=c.get("patch_size", 32),
        hidden_size=c.get("hidden_size", 1152),
        intermediate_size=c.get("intermediate_size", 3072),
        n_layers=c.get("num_hidden_layers", 12),
        n_heads=c.get("num_attention_heads", 16),
        norm_eps=c.get("layer_norm_eps", 1e-6),
        activation=ACTIVATIONS[activation],
        merge=part.metadata.get("scale_factor", 2),
        text_hidden=text_hidden,
        mean=three(part.preprocessor, "image_mean"),
        deviation=three(part.preprocessor, "image_std"),
    )


def as_huggingface(part: VisionPart) -> VisionPart:
    """A projector file's numbers, as the files of a folder have them.

    Raises:
        CorruptCheckpointError: one is missing.
    """
    n = part.metadata

    def number(key: str) -> Any:
        if f"clip.vision.{key}" not in n:
            raise CorruptCheckpointError(f"the projector file lacks the key clip.vision.{key}")
        return n[f"clip.vision.{key}"]

    tile = number("image_size")
    tower = {
        "image_size": tile,
        "patch_size": number("patch_size"),
        "hidden_size": number("embedding_length"),
        "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": number("attention.head_count"),
        "layer_norm_eps": number("attention.layer_norm_epsilon"),
        # llama.cpp's GELU is the one by tanh.
        "hidden_act": "gelu_pytorch_tanh" if n.get("clip.use_gelu", True) else "quick_gelu",
    }
    prepared = {
        "size": {"longest_edge": n.get("clip.vision.preproc_image_size", tile)},
        "max_image_size": {"longest_edge": tile},
        "image_mean": list(number("image_mean")),
        "image_std": list(number("image_std")),
    }
    scale = number("projector.scale_factor")
    config = {"vision_config": tower, "scale_factor": scale}
    return replace(part, architecture="idefics3", metadata=config, preprocessor=prepared)


def in_order(tensors: Mapping[str, TensorInfo]) -> dict[str, TensorInfo]:
    """The tensors of a projector file. Older ones call an MLP's first layer the one down."""
    up, down = (tensors.get(f"v.blk.0.ffn_{kind}.weight") for kind in ("up", "down"))
    if up is None or down is None or up.shape[0] >= up.shape[1]:
        return dict(tensors)
    other = {"ffn_up": "ffn_down", "ffn_down": "ffn_up"}
    made = {}
    for name, tensor in tensors.items():
        *before, layer, kind = name.split(".")
        made[".".join((*before, other.get(layer, layer), kind))] = tensor
    return made


def three(config: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    """A number for each colour."""
    values = config.get(name, [0.5, 0.5, 0.5])
    if not isinstance(values, list) or len(values) != 3:
        raise CorruptCheckpointError(f"preprocessor_config.json says {name} = {values!r}")
    red, green, blue = (float(value) for value in values)
    return red, green, blue
