"""SigLIP's tower (arXiv 2303.15343): its numbers from config.json or a projector file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.checkpoint.checkpoint import TensorInfo, VisionPart
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.vision.config import VisionActivation, VisionConfig

__all__ = ["in_order", "projector_number", "projector_prepared", "projector_tower", "siglip_config"]

# As config.json has them.
ACTIVATIONS: Mapping[str, VisionActivation] = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
}


def siglip_config(
    part: VisionPart, tower: Mapping[str, Any], defaults: Mapping[str, Any], **others: Any
) -> VisionConfig:
    """The numbers of a tower.

    Args:
        tower: config.json's vision_config, or what it would say.
        defaults: of transformers' own config class.
        others: fields of ``VisionConfig`` that are not the tower's.
    """
    c = {"num_channels": 3, **defaults, **tower}
    activation = c["hidden_act"]
    if activation not in ACTIVATIONS:
        raise UnsupportedModelError(f"the activation {activation!r} is not run in a vision tower")
    if c["num_channels"] != 3:
        raise UnsupportedModelError("images of other than three colours are not read")
    return VisionConfig(
        architecture=part.architecture,
        tile=c["image_size"],
        patch=c["patch_size"],
        hidden_size=c["hidden_size"],
        intermediate_size=c["intermediate_size"],
        n_layers=c["num_hidden_layers"],
        n_heads=c["num_attention_heads"],
        norm_eps=c["layer_norm_eps"],
        activation=ACTIVATIONS[activation],
        mean=three(part.preprocessor, "image_mean"),
        deviation=three(part.preprocessor, "image_std"),
        **others,
    )


def projector_number(part: VisionPart, key: str, *default: Any) -> Any:
    """A number of a projector file.

    Raises:
        CorruptCheckpointError: it is missing, and there is no default.
    """
    found = part.metadata.get(f"clip.vision.{key}", *default)
    if found is None:
        raise CorruptCheckpointError(f"the projector file lacks the key clip.vision.{key}")
    return found


def projector_tower(part: VisionPart) -> dict[str, Any]:
    """A projector file's numbers, as a vision_config has them."""
    return {
        "image_size": projector_number(part, "image_size"),
        "patch_size": projector_number(part, "patch_size"),
        "hidden_size": projector_number(part, "embedding_length"),
        "intermediate_size": projector_number(part, "feed_forward_length"),
        "num_hidden_layers": projector_number(part, "block_count"),
        "num_attention_heads": projector_number(part, "attention.head_count"),
        "layer_norm_eps": projector_number(part, "attention.layer_norm_epsilon"),
        # llama.cpp's GELU is the one by tanh.
        "hidden_act": "gelu_pytorch_tanh"
        if part.metadata.get("clip.use_gelu", True)
        else "quick_gelu",
    }


def projector_prepared(part: VisionPart, **others: Any) -> dict[str, Any]:
    """What preprocessor_config.json would say of a projector file."""
    colours = {f"image_{name}": list(projector_number(part, f"image_{name}")) for name in COLOURS}
    return {**colours, **others}


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


COLOURS = ("mean", "std")
