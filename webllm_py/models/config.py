"""A model's numbers, from whatever file it came in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from webllm_py.checkpoint.checkpoint import Checkpoint, TensorInfo
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.numbers import Numbers
from webllm_py.models.rope_scaling import (
    RopeScaling,
    scaling_from_gguf,
    scaling_from_huggingface,
)

__all__ = ["Activation", "Family", "LayerKind", "ModelConfig", "config_of"]

Activation: TypeAlias = Literal["silu", "gelu", "gelu_tanh"]
"""A file of kernels/activation."""
# As config.json names them.
ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}


@dataclass(frozen=True)
class LayerKind:
    """What may differ from layer to layer.

    Attributes:
        window: keys that a position attends to, its own among them; 0 for all.
        rope: which rotation queries and keys get.
    """

    window: int = 0
    rope: Literal["global", "local", "none"] = "global"


@dataclass(frozen=True)
class ModelConfig:
    """Hyper-parameters of a decoder. What has a default is llama's.

    Attributes:
        context_length: the positions that it was trained for (with its rope scaling).
        rotary_dim: leading elements of a head that are rotated.
        adjacent_pairs: whether the file's q and k rows have rotary pairs side by side (some of
            GGUF's) rather than half a head apart (everybody else's).
        layer_kinds: of each layer; empty if all are ``LayerKind()``.
        local_rope_theta: of layers whose rope is "local".
        norm: RMSNorm or LayerNorm.
        norm_plus: what the norms' stored weights are short of.
        gated: whether the MLP has a gate.
        parallel: whether the MLP's input is the layer's, without its attention.
        learned_positions: whether there is a table of positions beside that of tokens.
        qkv_by_head: whether a tensor of q, k and v has these three of a head next to each other.
        qk_norm: RMSNorm of queries and keys, of each head or of all together.
        embedding_scale: of the embedding table's rows.
        attention_scale: of scores; 0 for 1 / sqrt(head_dim).
        query_growth: queries grow by so much with the logarithm of how many original contexts their
            position is from the start (Llama 4's attention temperature).
        attention_softcap, output_softcap: bounds of scores and logits (arXiv 2408.00118); 0 for
            none.
        pre_norm, post_norm: whether attention and MLP have norms before them, and behind them.
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
    layer_kinds: tuple[LayerKind, ...] = ()
    local_rope_theta: float = 10000.0
    activation: Activation = "silu"
    norm: Literal["rms", "layer"] = "rms"
    norm_plus: float = 0.0
    gated: bool = True
    parallel: bool = False
    learned_positions: bool = False
    qkv_by_head: bool = False
    qk_norm: Literal["head", "whole"] | None = None
    pre_norm: bool = True
    post_norm: bool = False
    embedding_scale: float = 1.0
    attention_scale: float = 0.0
    query_growth: float = 0.0
    attention_softcap: float = 0.0
    output_softcap: float = 0.0

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
        for name in POSITIVE:
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise CorruptCheckpointError(f"the checkpoint says {name} = {value!r}")
        for name in NOT_NEGATIVE:
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise CorruptCheckpointError(f"the checkpoint says {name} = {value!r}")
        if self.layer_kinds and len(self.layer_kinds) != self.n_layers:
            raise CorruptCheckpointError(
                f"the checkpoint tells the kinds of {len(self.layer_kinds)} layers, and has "
                f"{self.n_layers}"
            )
        for kind in self.layer_kinds:
            window = kind.window
            if not isinstance(window, int) or isinstance(window, bool) or not 0 <= window < 2**31:
                raise CorruptCheckpointError(f"the checkpoint says sliding_window = {window!r}")

    def kind(self, layer: int) -> LayerKind:
        """A layer's kind."""
        return self.layer_kinds[layer] if self.layer_kinds else LayerKind()


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
POSITIVE = ("norm_eps", "rope_theta", "local_rope_theta", "embedding_scale")
NOT_NEGATIVE = ("attention_scale", "query_growth", "attention_softcap", "output_softcap")


def nothing(numbers: Numbers) -> Mapping[str, Any]:
    """A family whose numbers are llama's."""
    return {}


@dataclass(frozen=True)
class Family:
    """What sets models of some architectures apart from llama.

    Attributes:
        differences: fields of ``ModelConfig`` that are not as ``config_of`` finds them for all.
        names: Hugging Face's tensor names as GGUF has them, where ``models/names.py`` does not say
            it or says something else.
        keys: names of config.json's numbers that differ from most families'.
        defaults: what config.json's numbers are where it does not say it, by most families' names;
            or what finds it from the others.
        transposed: tensors of a layer that safetensors hold the other way round.
    """

    differences: Callable[[Numbers], Mapping[str, Any]] = nothing
    names: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    transposed: tuple[str, ...] = ()


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
    n = Numbers(checkpoint, family.keys, family.defaults)
    if n.gguf and n.get("", "expert_count", 0):
        raise UnsupportedModelError("mixtures of experts are not supported yet")
    if isinstance(n.get("num_attention_heads", "attention.head_count", None), list):
        raise UnsupportedModelError("layers with different numbers of heads are not supported")
    heads = n.count("num_attention_heads", "attention.head_count")
    head_dim = n.get("head_dim", "attention.key_length", n.hidden // heads)
    if n.get("v_head_dim", "attention.value_length", head_dim) != head_dim:
        raise UnsupportedModelError("keys and values of different lengths are not supported")
    rope, _ = n.ropes
    scaling = (
        scaling_from_gguf(n.architecture, n.metadata)
        if n.gguf
        else scaling_from_huggingface(rope or n.get("rope_scaling", "", None), n.metadata)
    )
    eps, context = ((), ()) if n.gguf else ((1e-6,), (2048,))
    fields: dict[str, Any] = {
        "hidden_size": n.hidden,
        "intermediate_size": n.get("intermediate_size", "feed_forward_length"),
        "n_layers": n.get("num_hidden_layers", "block_count"),
        "n_heads": heads,
        "n_kv_heads": n.get("num_key_value_heads", "attention.head_count_kv", heads),
        "head_dim": head_dim,
        "rotary_dim": rotary_dim(n, head_dim),
        "norm_eps": n.get("rms_norm_eps", norm_key(n), *eps),
        "context_length": n.get("max_position_embeddings", "context_length", *context),
        "rope_theta": rope.get("rope_theta", n.get("rope_theta", "rope.freq_base", 10000.0)),
        "rope_scaling": scaling,
        "adjacent_pairs": False,
        "activation": "silu" if n.gguf else activation(n.get("hidden_act", "", "silu")),
    }
    fields |= family.differences(n)
    return ModelConfig(checkpoint.architecture, vocab_size_of(tensors), **fields)


def activation(name: Any) -> Activation:
    """The kernels' name of an activation function of config.json."""
    if name not in ACTIVATIONS:
        raise UnsupportedModelError(f"the activation {name!r} is not supported")
    return ACTIVATIONS[name]


def norm_key(n: Numbers) -> str:
    """GGUF's key of the norms' epsilon."""
    layer = "attention.layer_norm_epsilon"
    return layer if n.get("", layer, None) else "attention.layer_norm_rms_epsilon"


def rotary_dim(n: Numbers, head_dim: int) -> int:
    """Elements of a head that are rotated."""
    if n.gguf:
        return int(n.get("", "rope.dimension_count", head_dim))
    rope, _ = n.ropes
    share = rope.get("partial_rotary_factor", n.get("partial_rotary_factor", "", 1))
    return int(head_dim * share)
