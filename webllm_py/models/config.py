"""A model's numbers, from whatever file it came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webllm_py.checkpoint.checkpoint import Checkpoint, TensorInfo
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.rope import RopeScaling, scaling_from_gguf, scaling_from_huggingface

__all__ = ["ModelConfig", "config_of"]


@dataclass(frozen=True)
class ModelConfig:
    """Hyper-parameters of a decoder.

    Attributes:
        context_length: the positions that it was trained for (with its rope scaling).
        rotary_dim: leading elements of a head that are rotated.
        adjacent_pairs: whether the file's q and k rows have rotary pairs side by side (GGUF's
            llama) rather than half a head apart (everybody else).
    """

    architecture: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    rotary_dim: int
    norm_eps: float
    context_length: int
    rope_theta: float
    rope_scaling: RopeScaling | None
    adjacent_pairs: bool

    def __post_init__(self) -> None:
        for name in COUNTS:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
                raise CorruptCheckpointError(
                    f"the checkpoint says {name} = {value!r}; that must be a positive whole number"
                )
        if self.n_heads % self.n_kv_heads:
            raise CorruptCheckpointError(
                f"{self.n_heads} query heads cannot share {self.n_kv_heads} key-value heads evenly"
            )
        if self.head_dim % 8 or self.head_dim > 256:
            raise UnsupportedModelError(
                f"heads of {self.head_dim} elements are not supported: it must be a multiple of 8, "
                "at most 256"
            )
        if self.rotary_dim % 2 or self.rotary_dim > self.head_dim:
            raise CorruptCheckpointError(
                f"rotary embedding over {self.rotary_dim} of a head's {self.head_dim} elements"
            )
        for name in ("norm_eps", "rope_theta"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise CorruptCheckpointError(f"the checkpoint says {name} = {value!r}")


COUNTS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "n_layers",
    "n_heads",
    "n_kv_heads",
    "head_dim",
    "rotary_dim",
    "context_length",
)


def config_of(checkpoint: Checkpoint, tensors: Mapping[str, TensorInfo]) -> ModelConfig:
    """The config of a checkpoint whose tensors already have GGUF's names."""
    if checkpoint.kind == "gguf":
        return from_gguf(checkpoint, tensors)
    return from_huggingface(checkpoint, tensors)


def vocab_size_of(tensors: Mapping[str, TensorInfo]) -> int:
    """Rows of the embedding table, which says it where metadata may not."""
    for name in ("token_embd.weight", "output.weight"):
        if name in tensors and len(tensors[name].shape) == 2:
            return tensors[name].shape[0]
    raise CorruptCheckpointError(
        "the checkpoint has neither an embedding table nor an output layer"
    )


def from_gguf(checkpoint: Checkpoint, tensors: Mapping[str, TensorInfo]) -> ModelConfig:
    """From GGUF's ``<architecture>.*`` keys (its specification, "Standardized key-value pairs")."""
    architecture, metadata = checkpoint.architecture, checkpoint.metadata

    def get(key: str, *default: Any) -> Any:
        full = f"{architecture}.{key}"
        if full not in metadata and not default:
            raise CorruptCheckpointError(f"the GGUF file lacks the key {full}")
        return metadata.get(full, *default)

    if get("expert_count", 0):
        raise UnsupportedModelError("mixtures of experts are not supported yet")
    n_heads, hidden = get("attention.head_count"), get("embedding_length")
    if isinstance(n_heads, list):
        raise UnsupportedModelError("layers with different numbers of heads are not supported")
    check_divides(hidden, n_heads)
    head_dim = get("attention.key_length", hidden // n_heads)
    if get("attention.value_length", head_dim) != head_dim:
        raise UnsupportedModelError("keys and values of different lengths are not supported")
    return ModelConfig(
        architecture=architecture,
        vocab_size=vocab_size_of(tensors),
        hidden_size=hidden,
        intermediate_size=get("feed_forward_length"),
        n_layers=get("block_count"),
        n_heads=n_heads,
        n_kv_heads=get("attention.head_count_kv", n_heads),
        head_dim=head_dim,
        rotary_dim=get("rope.dimension_count", head_dim),
        norm_eps=get("attention.layer_norm_rms_epsilon"),
        context_length=get("context_length"),
        rope_theta=get("rope.freq_base", 10000.0),
        rope_scaling=scaling_from_gguf(architecture, metadata),
        adjacent_pairs=architecture == "llama",
    )


def from_huggingface(checkpoint: Checkpoint, tensors: Mapping[str, TensorInfo]) -> ModelConfig:
    """From config.json, with the defaults that transformers' own config classes have."""
    config = checkpoint.metadata

    def get(key: str, *default: Any) -> Any:
        value = config.get(key)
        if value is None:
            if not default:
                raise CorruptCheckpointError(f"config.json lacks {key}")
            return default[0]
        return value

    if get("hidden_act", "silu") not in ("silu", "swish"):
        raise UnsupportedModelError(f"the activation {get('hidden_act')!r} is not supported")
    if get("use_sliding_window", False):
        raise UnsupportedModelError("sliding-window attention is not supported yet")
    n_heads, hidden = get("num_attention_heads"), get("hidden_size")
    check_divides(hidden, n_heads)
    head_dim = get("head_dim", hidden // n_heads)
    # transformers 5 moved both into one dictionary.
    rope = get("rope_parameters", {}) or {}
    return ModelConfig(
        architecture=checkpoint.architecture,
        vocab_size=vocab_size_of(tensors),
        hidden_size=hidden,
        intermediate_size=get("intermediate_size"),
        n_layers=get("num_hidden_layers"),
        n_heads=n_heads,
        n_kv_heads=get("num_key_value_heads", n_heads),
        head_dim=head_dim,
        rotary_dim=int(head_dim * get("partial_rotary_factor", 1)),
        norm_eps=get("rms_norm_eps", 1e-6),
        context_length=get("max_position_embeddings", 2048),
        rope_theta=rope.get("rope_theta", get("rope_theta", 10000.0)),
        rope_scaling=scaling_from_huggingface(rope or get("rope_scaling", None)),
        adjacent_pairs=False,
    )


def check_divides(hidden: Any, n_heads: Any) -> None:
    """Both are positive whole numbers, as the head size derived from them needs."""
    for name, value in (("hidden size", hidden), ("number of heads", n_heads)):
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise CorruptCheckpointError(f"the checkpoint says the {name} is {value!r}")
