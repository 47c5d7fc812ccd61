"""Conversions between a page and Python: its options and files, and what it is told as JSON."""

from __future__ import annotations

from typing import Any

import webllm_py
from webllm_py.web.job import is_plain

__all__ = ["load_options", "plain_info", "plain_progress", "source_of"]


def source_of(given: Any) -> Any:
    """What ``load`` takes: an array of files becomes a list."""
    is_array = hasattr(given, "length") and not isinstance(given, str)
    return list(given) if is_array else given


def load_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a load, which JSON has told."""
    fetch = options.get("fetch")
    return options if fetch is None else {**options, "fetch": webllm_py.FetchOptions(**fetch)}


def plain_info(engine: Any) -> dict[str, Any]:
    """What runs where."""
    return {name: value for name, value in engine.info.items() if is_plain(value)}


def plain_progress(report: Any) -> dict[str, Any]:
    """A report of a load."""
    return {**vars(report), "files": dict(report.files)}
