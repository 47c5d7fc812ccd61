"""How a text embedder's rows become one vector, as its checkpoint says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast, get_args

from webllm_py.checkpoint.checkpoint import Checkpoint
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError

__all__ = ["Pooling", "pooling_of"]

Pooling: TypeAlias = Literal["mean", "cls", "last"]

# llama.cpp's enum llama_pooling_type; 0 leaves it to the reader.
GGUF_POOLING: Mapping[int, Pooling] = {1: "mean", 2: "cls", 3: "last"}
# What sentence-transformers calls them, in one field or in a flag each.
POOLING_NAMES: Mapping[str, Pooling] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}
POOLING_FLAGS: Mapping[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}


def pooling_of(checkpoint: Checkpoint) -> tuple[Pooling, bool] | None:
    """Whose rows, and whether the vector is brought to length 1; None where nothing is said.

    Raises:
        UnsupportedModelError: another pooling, or another step behind it.
        CorruptCheckpointError: a file is damaged.
    """
    if checkpoint.kind != "gguf":
        return steps_of(checkpoint.files) if "modules.json" in checkpoint.files else None
    pooling = checkpoint.metadata.get(f"{checkpoint.architecture}.pooling_type", 0)
    if pooling == 0:
        return None
    if pooling not in GGUF_POOLING:
        raise UnsupportedModelError(
            f"this model pools by type {pooling!r}: a reranker, or something newer; of embedders, "
            "those that pool by mean, CLS or last token are run"
        )
    return GGUF_POOLING[pooling], True


def steps_of(files: Mapping[str, bytes]) -> tuple[Pooling, bool]:
    """What sentence-transformers' modules.json has behind the model."""
    kinds = [str(module.get("type")).rpartition(".")[2] for module in modules_of(files)]
    other = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if other:
        raise UnsupportedModelError(
            f"this embedder has a step that this version does not run: {other[0]} (modules.json)"
        )
    paths = [module.get("path") for module in modules_of(files)]
    pooling = next((path for path, kind in zip(paths, kinds, strict=True) if kind == "Pooling"), "")
    return pooling_named(json_of(files, f"{pooling}/config.json")), "Normalize" in kinds


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


def pooling_named(config: Any) -> Pooling:
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
