"""What ``webllm-py info`` says of one of WebLLM's prebuilt models whose files cannot be had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webllm_py.errors import SourceError
from webllm_py.fetch.prebuilt import Prebuilt, prebuilt_models
from webllm_py.models import ENCODERS
from webllm_py.models.families import FAMILIES
from webllm_py.units import size

__all__ = ["describe_prebuilt", "find_prebuilt", "prebuilt_rows"]


def find_prebuilt(source: Any) -> Prebuilt | None:
    """The record that a source is the name of."""
    return prebuilt_models().get(source) if isinstance(source, str) else None


def describe_prebuilt(record: Prebuilt, error: SourceError) -> dict[str, Any]:
    """What the package itself knows of it, as plain values."""
    return {
        "name": record.id,
        "kind": "prebuilt",
        "architecture": record.family,
        "runs": record.family in FAMILIES or record.family in ENCODERS,
        "quantization": record.quantization,
        "repository": record.repository,
        "memory": {"webllm_count": record.memory, "context_length": record.context},
        "error": str(error),
    }


def prebuilt_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same as label and text."""
    runs = "which this version runs" if found["runs"] else "which this version does not run yet"
    yield "architecture", f"{found['architecture']}, {runs}"
    yield "weights", f"{found['quantization']}, at {found['repository']} on the Hugging Face hub"
    memory = found["memory"]
    context = f"with a context of {memory['context_length']:,} tokens"
    yield "memory", f"{size(memory['webllm_count'])} by WebLLM's own count, {context}"
    yield "not planned", f"its files could not be read: {found['error']}"
