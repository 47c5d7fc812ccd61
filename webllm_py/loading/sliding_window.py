"""Sliding windows: which models are loaded so that conversations may outgrow their context."""

from __future__ import annotations

from typing import Any

from webllm_py.checkpoint.checkpoint import Checkpoint
from webllm_py.errors import UnsupportedModelError
from webllm_py.models.config import ModelConfig
from webllm_py.models.kv_cache import KVFormat
from webllm_py.models.step import PAGE
from webllm_py.runtime.kv.sliding import pages_dropped, pages_kept

__all__ = ["check_window", "sinks_of", "whole_window"]

SINKS = 4
"""Where nothing says how many first tokens stay (arXiv 2309.17453)."""


def check_window(window: Any, sinks: Any, context_length: Any, kv_dtype: KVFormat) -> None:
    """Refuse options of ``load`` that are no numbers, or contradict each other.

    Raises:
        ValueError: says which.
    """
    for name, value, least in (
        ("sliding_window_size", window, 1),
        ("attention_sink_size", sinks, 0),
    ):
        if value is not None and (
            isinstance(value, bool) or not hasattr(value, "__index__") or value < least
        ):
            raise ValueError(f"{name} must be a whole number from {least}, not {value!r}")
    if window is None and sinks is not None:
        raise ValueError("attention_sink_size is of a sliding window: give sliding_window_size too")
    if window is not None and context_length is not None:
        raise ValueError(
            "give context_length, where a conversation ends, or sliding_window_size, past which "
            "it goes on, not both"
        )
    if window is not None and kv_dtype == "q8":
        raise ValueError(
            "keys in 8 bits cannot be turned to other positions: kv_dtype must be 'f16' or 'f32' "
            "with a sliding_window_size"
        )


def sinks_of(
    checkpoint: Checkpoint, config: ModelConfig, window: int | None, sinks: int | None
) -> int | None:
    """How many first tokens stay when a conversation goes on past its window; None: it does not.

    Args:
        window, sinks: what was asked for; without a window, an MLC folder may say it.

    Raises:
        UnsupportedModelError: it was asked for, of a model whose positions cannot move.
    """
    fixed = "a table of positions" if config.learned_positions else ""
    fixed = "layers with states" if config.recurrent else fixed
    if window is not None:
        if fixed:
            raise UnsupportedModelError(
                f"{config.architecture} models have {fixed}: no sliding_window_size is possible"
            )
        return SINKS if sinks is None else sinks
    said = checkpoint.metadata.get("attention_sink_size") if checkpoint.kind == "mlc" else None
    return None if fixed or not isinstance(said, int) or said < 0 else said


def whole_window(window: int, sinks: int, together: int = 1) -> int:
    """The window in whole pages of the cache.

    Args:
        together: tokens that have to be computed at once, whatever is in the window.

    Raises:
        ValueError: there is no page beside those that stay and one that drops out; or no room for
            an image.
    """
    least = (-(-sinks // PAGE) + 2) * PAGE
    if window < least:
        raise ValueError(
            f"sliding_window_size must be at least {least} with an attention_sink_size of {sinks}: "
            f"tokens stay and drop out in pages of {PAGE}"
        )
    pages, kept = window // PAGE, pages_kept(sinks)
    while (pages - kept - pages_dropped(pages, kept)) * PAGE < together:
        pages += 1
    if pages * PAGE > window:
        raise ValueError(
            f"sliding_window_size must be at least {pages * PAGE} for a model whose images take "
            f"{together} tokens and are read at once"
        )
    return pages * PAGE
