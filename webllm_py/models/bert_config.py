"""A text encoder's hyper-parameters, and how its rows become one vector, from any kind of file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webllm_py.checkpoint.checkpoint import Checkpoint, TensorInfo
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.encoder_layers import MOST_HEAD_DIM
from webllm_py.models.hyperparameters import HyperParameters, check_layers, sound_values
from webllm_py.models.pooling import Pooling, pooling_of

__all__ = ["BertConfig", "bert_config_of"]


@dataclass(frozen=True)
class BertConfig:
    """Hyper-parameters of an encoder.

    Attributes:
        n_positions: rows of the table of positions.
        first_position: the row of a text's first token.
        n_types: rows of the table of token types.
        pooling: whose row becomes the text's vector: all rows' mean, the first one, the last one.
        normalize: whether that vector is brought to length 1.
    """

    architecture: str
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_positions: int
    n_types: int
    norm_eps: float
    first_position: int = 0
    pooling: Pooling = "mean"
    normalize: bool = True

    def __post_init__(self) -> None:
        for name in COUNTS:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
                raise CorruptCheckpointError(
                    f"the checkpoint says {name} = {value!r}; that must be a positive whole number"
                )
        if self.hidden_size % self.n_heads:
            raise CorruptCheckpointError(
                f"{self.n_heads} heads cannot share {self.hidden_size} elements evenly"
            )
        if self.head_dim % 8 or self.head_dim > MOST_HEAD_DIM:
            raise UnsupportedModelError(
                f"heads of {self.head_dim} elements are not supported in an encoder: it must be a "
                f"multiple of 8, at most {MOST_HEAD_DIM}"
            )
        if not isinstance(self.norm_eps, (int, float)) or not 0 < self.norm_eps < 1:
            raise CorruptCheckpointError(f"the checkpoint says norm_eps = {self.norm_eps!r}")
        if not 0 <= self.first_position < self.n_positions:
            raise CorruptCheckpointError(
                f"positions begin at {self.first_position} of {self.n_positions}"
            )

    @property
    def head_dim(self) -> int:
        """Elements of a head."""
        return self.hidden_size // self.n_heads

    @property
    def context_length(self) -> int:
        """The most tokens of a text."""
        return self.n_positions - self.first_position


COUNTS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "n_layers",
    "n_heads",
    "n_positions",
    "n_types",
)


def bert_config_of(checkpoint: Checkpoint, tensors: Mapping[str, TensorInfo]) -> BertConfig:
    """The config of a checkpoint whose tensors already have GGUF's names.

    Raises:
        CorruptCheckpointError: a number is missing or cannot be.
        UnsupportedModelError: an option that this version does not run.
    """
    with sound_values():
        config = _config_of(checkpoint, tensors)
    check_layers(config.n_layers, tensors)
    return config


def _config_of(checkpoint: Checkpoint, tensors: Mapping[str, TensorInfo]) -> BertConfig:
    rows: dict[str, Any] = {
        field: rows_of(tensors, name)
        for field, name in (
            ("vocab_size", "token_embd.weight"),
            ("n_positions", "position_embd.weight"),
            ("n_types", "token_types.weight"),
        )
    }
    n = HyperParameters(checkpoint)
    # Where nothing is said: what Sentence-BERT found best.
    pooling, normalize = pooling_of(checkpoint) or ("mean", True)
    return BertConfig(
        architecture=checkpoint.architecture,
        **rows,
        hidden_size=n.get("hidden_size", "embedding_length"),
        intermediate_size=n.get("intermediate_size", "feed_forward_length"),
        n_layers=n.get("num_hidden_layers", "block_count"),
        n_heads=n.get("num_attention_heads", "attention.head_count"),
        norm_eps=n.get("layer_norm_eps", "attention.layer_norm_epsilon", 1e-12),
        first_position=0 if n.gguf else first_position(n),
        pooling=pooling,
        normalize=normalize,
    )


def rows_of(tensors: Mapping[str, TensorInfo], name: str) -> int:
    """Rows of a table, which says it where metadata may not."""
    if name not in tensors or len(tensors[name].shape) != 2:
        raise CorruptCheckpointError(f"the checkpoint lacks the table {name}")
    return tensors[name].shape[0]


def first_position(n: HyperParameters) -> int:
    """The row of the first position that config.json asks for; its other options are checked."""
    for key, known in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if n.get(key, "", known) != known:
            raise UnsupportedModelError(f"{key} = {n.get(key, '')!r} is not run in an encoder")
    # RoBERTa's positions begin behind that of padding.
    return 0 if n.architecture == "bert" else int(n.get("pad_token_id", "", 1)) + 1
