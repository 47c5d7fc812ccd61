"""A text encoder's numbers, and how its rows become one vector, from whatever file it came in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

from webllm_py.checkpoint.checkpoint import Checkpoint, TensorInfo
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.numbers import Numbers

__all__ = ["MOST_HEAD_DIM", "BertConfig", "Pooling", "bert_config_of"]

Pooling: TypeAlias = Literal["mean", "cls", "last"]
MOST_HEAD_DIM = 128  # of kernels/attention_encoder.wgsl

# GGUF's pooling types: llama.cpp's enum llama_pooling_type. Where nothing is said, and where a file
# leaves it to its reader, it is what Sentence-BERT found best.
GGUF_POOLING: Mapping[int, Pooling] = {0: "mean", 1: "mean", 2: "cls", 3: "last"}
# What sentence-transformers calls them, in one field or in a flag each.
POOLING_NAMES: Mapping[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
POOLING_FLAGS: Mapping[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}


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
    rows: dict[str, Any] = {
        field: rows_of(tensors, name)
        for field, name in (
            ("vocab_size", "token_embd.weight"),
            ("n_positions", "position_embd.weight"),
            ("n_types", "token_types.weight"),
        )
    }
    n = Numbers(checkpoint)
    return BertConfig(
        architecture=checkpoint.architecture,
        **rows,
        hidden_size=n.get("hidden_size", "embedding_length"),
        intermediate_size=n.get("intermediate_size", "feed_forward_length"),
        n_layers=n.get("num_hidden_layers", "block_count"),
        n_heads=n.get("num_attention_heads", "attention.head_count"),
        norm_eps=n.get("layer_norm_eps", "attention.layer_norm_epsilon", 1e-12),
        **(said_by_gguf(n) if n.gguf else said_by_folder(n, checkpoint.files)),
    )


def rows_of(tensors: Mapping[str, TensorInfo], name: str) -> int:
    """Rows of a table, which says it where metadata may not."""
    if name not in tensors or len(tensors[name].shape) != 2:
        raise CorruptCheckpointError(f"the checkpoint lacks the table {name}")
    return tensors[name].shape[0]


def said_by_gguf(n: Numbers) -> dict[str, Any]:
    """What else the keys of a GGUF file say."""
    pooling = n.get("", "pooling_type", 1)
    if pooling not in GGUF_POOLING:
        raise UnsupportedModelError(
            f"this model pools by type {pooling!r}: a reranker, or something newer; of embedders, "
            "those that pool by mean, CLS or last token are run"
        )
    return {"pooling": GGUF_POOLING[pooling]}


def said_by_folder(n: Numbers, files: Mapping[str, bytes]) -> dict[str, Any]:
    """What else config.json says, and sentence-transformers' files beside it."""
    for key, known in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if n.get(key, "", known) != known:
            raise UnsupportedModelError(f"{key} = {n.get(key, '')!r} is not run in an encoder")
    pooling, normalize = steps_of(files)
    # RoBERTa's positions begin behind that of padding.
    first = 0 if n.architecture == "bert" else n.get("pad_token_id", "", 1) + 1
    return {"first_position": first, "pooling": pooling, "normalize": normalize}


def steps_of(files: Mapping[str, bytes]) -> tuple[Pooling, bool]:
    """What sentence-transformers' modules.json has behind the encoder: pooling, unit length.

    A folder without it is taken as sentence-transformers itself takes it, by the mean.
    """
    if "modules.json" not in files:
        return "mean", True
    kinds = [str(module.get("type")).rpartition(".")[2] for module in modules_of(files)]
    other = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if other:
        raise UnsupportedModelError(
            f"this embedder has a step that this version does not run: {other[0]} (modules.json)"
        )
    paths = [module.get("path") for module in modules_of(files)]
    pooling = next((path for path, kind in zip(paths, kinds, strict=True) if kind == "Pooling"), "")
    return pooling_of(json_of(files, f"{pooling}/config.json")), "Normalize" in kinds


def modules_of(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The entries of modules.json."""
    modules = json_of(files, "modules.json")
    if not isinstance(modules, list) or not all(isinstance(entry, dict) for entry in modules):
        raise CorruptCheckpointError("modules.json must be a list of objects")
    return modules


def json_of(files: Mapping[str, bytes], name: str) -> Any:
    """A JSON file's content; an empty object for one that is not there."""
    try:
        return json.loads(files.get(name, b"{}"))
    except ValueError as error:
        raise CorruptCheckpointError(f"{name} is not valid JSON: {error}") from error


def pooling_of(config: Any) -> Pooling:
    """The pooling that a Pooling module's config.json asks for."""
    if not isinstance(config, dict):
        raise CorruptCheckpointError("the pooling's config.json must be an object")
    name = config.get("pooling_mode")
    if name is not None:
        asked = [str(name)] if isinstance(name, str) else list(map(str, name))
        found = [POOLING_NAMES.get(each) for each in asked]
    else:
        asked = [
            key for key, on in config.items() if key.startswith("pooling_mode_") and on is True
        ]
        found = [POOLING_FLAGS.get(key) for key in asked] or ["mean"]
    if len(found) != 1 or found[0] not in get_args(Pooling):
        raise UnsupportedModelError(
            f"this embedder pools by {' and '.join(asked)}; mean, CLS and last token are run"
        )
    return cast(Pooling, found[0])
