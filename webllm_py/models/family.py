"""The differences between families, and a model's hyper-parameters from any kind of file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webllm_py.checkpoint.checkpoint import Checkpoint, TensorInfo
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.config import Activation, ModelConfig
from webllm_py.models.hyperparameters import HyperParameters, check_layers, sound_values
from webllm_py.models.rope_scaling import scaling_from_gguf, scaling_from_huggingface

__all__ = ["Family", "config_of"]

# As config.json names them.
ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}


SHARE = "partial_rotary_factor"


def nothing(n: HyperParameters) -> Mapping[str, Any]:
    """A family whose hyper-parameters are llama's."""
    return {}


@dataclass(frozen=True)
class Family:
    """What sets models of some architectures apart from llama.

    Attributes:
        differences: fields of ``ModelConfig`` that are not as ``config_of`` finds them for all.
        names: Hugging Face's tensor names as GGUF has them, where ``models/names.py`` does not say
            it or says something else.
        gguf_names: what tensors of GGUF files are, that are called what is another one elsewhere,
            or as first files called them.
        keys: names of config.json's keys that differ from most families'.
        defaults: what config.json's values are where it does not say it, by most families' names;
            or what finds it from the others.
        in_mlc: whether MLC's folders of the family are read.
        transposed: tensors of a layer that safetensors hold the other way round.
        adjacent_in: kinds of files (``Checkpoint.kind``) where q's and k's rotary pairs are side by
            side.
        by_head: whether Hugging Face's q, k and v are one tensor, these three of a head together.
    """

    differences: Callable[[HyperParameters], Mapping[str, Any]] = nothing
    names: Mapping[str, str] = field(default_factory=dict)
    gguf_names: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    transposed: tuple[str, ...] = ()
    in_mlc: bool = True
    adjacent_in: tuple[str, ...] = ()
    by_head: bool = False


def vocab_size_of(tensors: Mapping[str, TensorInfo]) -> int:
    """Rows of the embedding table, which says it where metadata may not."""
    for name in ("token_embd.weight", "output.weight"):
        if name in tensors and len(tensors[name].shape) == 2:
            return tensors[name].shape[0]
    raise CorruptCheckpointError(
        "the checkpoint has neither an embedding table nor an output layer"
    )


def config_of(
    checkpoint: Checkpoint, tensors: Mapping[str, TensorInfo], family: Family
) -> ModelConfig:
    """The config of a checkpoint whose tensors already have GGUF's names.

    Defaults are those of transformers' own config classes.
    """
    with sound_values():
        config = _config_of(checkpoint, tensors, family)
    check_layers(config.n_layers, tensors)
    return config


def _config_of(
    checkpoint: Checkpoint, tensors: Mapping[str, TensorInfo], family: Family
) -> ModelConfig:
    n = HyperParameters(checkpoint, family.keys, family.defaults)
    heads = n.count("num_attention_heads", "attention.head_count")
    head_dim = n.get("head_dim", "attention.key_length", n.hidden // heads)
    if n.get("v_head_dim", "attention.value_length", head_dim) != head_dim:
        raise UnsupportedModelError("keys and values of different lengths are not supported")
    rope, _ = n.ropes
    scaling = (
        scaling_from_gguf(n.architecture, n.metadata)
        if n.gguf
        else scaling_from_huggingface(rope, n.metadata)
    )
    eps, context = ((), ()) if n.gguf else ((1e-6,), (2048,))
    expert_size = n.get("moe_intermediate_size", "expert_feed_forward_length", None)
    width = (expert_size,) if expert_size else ()  # of MLPs where all of them are experts
    fields: dict[str, Any] = {
        "hidden_size": n.hidden,
        "intermediate_size": n.of_all("intermediate_size", "feed_forward_length", *width),
        "n_layers": n.get("num_hidden_layers", "block_count"),
        "n_heads": heads,
        "n_kv_heads": n.of_all("num_key_value_heads", "attention.head_count_kv", heads),
        "head_dim": head_dim,
        "rotary_dim": rotary_dim(n, head_dim),
        "norm_eps": n.get("rms_norm_eps", norm_key(n), *eps),
        "context_length": n.get("max_position_embeddings", "context_length", *context),
        "rope_theta": rope.get("rope_theta", n.get("rope_theta", "rope.freq_base", 10000.0)),
        "rope_scaling": scaling,
        "adjacent_pairs": checkpoint.kind in family.adjacent_in,
        "qkv_by_head": n.as_transformers and family.by_head,
        "activation": "silu" if n.gguf else activation(n.get("hidden_act", "", "silu")),
    }
    fields |= family.differences(n)
    if n.gguf and not any(kind.recurrent for kind in fields.get("layer_kinds", ())):
        check_attention(n)
    if n.gguf and n.get("", "expert_count", 0) and not fields.get("n_experts"):
        raise UnsupportedModelError(f"mixtures of experts are not supported in {n.architecture}")
    return ModelConfig(checkpoint.architecture, vocab_size_of(tensors), **fields)


def check_attention(n: HyperParameters) -> None:
    """Raise UnsupportedModelError if layers of a GGUF file have no heads."""
    for name in ("attention.head_count", "attention.head_count_kv"):
        heads = n.get("", name, 0)
        if isinstance(heads, list) and 0 in heads:
            raise UnsupportedModelError(
                f"layers without attention are not supported in {n.architecture}"
            )


def activation(name: Any) -> Activation:
    """The kernels' name of an activation function of config.json."""
    if name not in ACTIVATIONS:
        raise UnsupportedModelError(f"the activation {name!r} is not supported")
    return ACTIVATIONS[name]


def norm_key(n: HyperParameters) -> str:
    """GGUF's key of the norms' epsilon."""
    layer = "attention.layer_norm_epsilon"
    return layer if n.get("", layer, None) else "attention.layer_norm_rms_epsilon"


def rotary_dim(n: HyperParameters, head_dim: int) -> int:
    """Elements of a head that are rotated. transformers heeds a part in some families alone: those
    that have a default of it."""
    if n.gguf:
        return int(n.get("", "rope.dimension_count", head_dim))
    if SHARE not in n.defaults:
        return head_dim
    rope, _ = n.ropes
    return int(head_dim * rope.get(SHARE, n.get(SHARE, "", 1)))
