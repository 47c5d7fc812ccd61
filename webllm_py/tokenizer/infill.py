"""Tokens for filling in the middle (FIM): text before, text after, and the model writes between.

The order is prefix, suffix, middle (PSM; Bavarian et al. 2022, arXiv 2207.14255), which is what
these models document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Infill", "infill_from", "infill_of"]

# prefix, suffix, middle, then tokens that end the middle.
NAMES = (
    # Qwen2.5-Coder, CodeGemma, Granite-Code
    (
        *("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        *("<|fim_pad|>", "<|file_separator|>", "<|file_sep|>", "<|repo_name|>", "<|endoftext|>"),
    ),
    # StarCoder, SmolLM
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<fim_pad>", "<file_sep>", "<|endoftext|>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>", "<fim-pad>", "<|endoftext|>"),
    # CodeLlama
    ("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
    # DeepSeek-Coder
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
)


@dataclass(frozen=True)
class Infill:
    """The ids of a model's tokens.

    Attributes:
        prefix, suffix, middle: before each part of a prompt.
        ends: they end the text in the middle, besides the ids that end any text.
    """

    prefix: int
    suffix: int
    middle: int
    ends: frozenset[int] = frozenset()

    def prompt(self, before: Sequence[int], behind: Sequence[int]) -> list[int]:
        """The tokens after which the model writes what lies between."""
        return [self.prefix, *before, self.suffix, *behind, self.middle]


def infill_of(token_id: Callable[[str], int | None]) -> Infill | None:
    """The tokens by the names that are in use; None for a model that has none of them.

    Args:
        token_id: the id of a name.
    """
    for names in NAMES:
        prefix, suffix, middle, *ends = map(token_id, names)
        if infill := infill_from(prefix, suffix, middle, ends):
            return infill
    return None


def infill_from(
    prefix: int | None, suffix: int | None, middle: int | None, ends: Iterable[int | None]
) -> Infill | None:
    """The tokens, where all that are needed are there."""
    if prefix is None or suffix is None or middle is None:
        return None
    return Infill(prefix, suffix, middle, frozenset(id for id in ends if id is not None))
