"""What ``webllm-py info`` says of one of WebLLM's prebuilt models whose files cannot be had.

Its memory is planned all the same, from the sizes that ``models.prebuilt`` knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webllm_py.errors import SourceError
from webllm_py.fetch.prebuilt import Prebuilt, prebuilt_models
from webllm_py.models import ENCODERS
from webllm_py.models.families import FAMILIES
from webllm_py.models.prebuilt import architecture_of
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
        "runs": architecture_of(record) in (*FAMILIES, *ENCODERS),
        "quantization": record.quantization,
        "repository": record.repository,
        "webllm_memory": record.memory,
        "webllm_context_length": record.context,
        "error": str(error),
    }


def prebuilt_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The same as label and text."""
    runs = "which this version runs" if found["runs"] else "which this version does not run yet"
    yield "architecture", f"{found['architecture']}, {runs}"
    yield "weights", f"{found['quantization']}, at {found['repository']} on the Hugging Face hub"
    context = f"with a context of {found['webllm_context_length']:,} tokens"
    yield "WebLLM counts", f"{size(found['webllm_memory'])}, {context}"
    yield "on this GPU", verdict(found)
    yield "files", f"not read: {found['error']}"


def verdict(found: Mapping[str, Any]) -> str:
    """Whether it runs here, as far as WebGPU tells: not how much memory there is."""
    memory, gpu = found["memory"], found["gpu"]
    if not found["runs"]:
        return "no"
    if "error" in gpu:
        return "no: there is none"
    if memory is None:
        return "not known: its sizes are not"
    return f"no: {memory['error']}" if "error" in memory else "yes, if it has the memory"
