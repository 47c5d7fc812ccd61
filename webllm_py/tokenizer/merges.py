"""Merge tables for ``BPE`` from the ways in which definitions write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from math import isnan
from typing import Any

from webllm_py.errors import TokenizerError

__all__ = ["by_score", "from_merges", "parse_merges_txt"]

_NONCHARACTER = "\uffff"


def from_merges(merges: list[Any], ids: Mapping[str, int]) -> tuple[dict[str, int], str, list[str]]:
    """The table of a list of merges, best first: "a b", or pairs ["a", "b"].

    Returns:
        Priorities by key, the joiner between the two sides of a key, and the merged tokens.

    Raises:
        TokenizerError: a merge is malformed, or names a token that is not in the vocabulary.
    """
    joiner = " "
    if merges and not isinstance(merges[0], str):
        pairs = _checked_pairs(merges)
        if " " in "".join(chain.from_iterable(pairs)):
            joiner = _NONCHARACTER  # a token with a space in it: "a b" would be ambiguous
        merges = list(map(joiner.join, pairs))
    elif set(map(type, merges)) - {str}:
        raise TokenizerError("the tokenizer's merges must all be strings")
    merged = _merged_tokens(merges, joiner, ids)
    return dict(zip(merges, range(len(merges)), strict=True)), joiner, merged


def _checked_pairs(merges: list[Any]) -> list[list[str]]:
    for pair in merges:
        if type(pair) is not list or list(map(type, pair)) != [str, str]:
            raise TokenizerError(f"the merge {pair!r} must be a pair of strings")
    return merges


def _merged_tokens(merges: list[str], joiner: str, ids: Mapping[str, int]) -> list[str]:
    # There can be 280,000: everything is done by mapping built-in functions, without a loop here.
    if merges and set(map(str.count, merges, repeat(joiner))) != {1}:
        malformed = next(merge for merge in merges if merge.count(joiner) != 1)
        raise TokenizerError(f"the merge {malformed!r} must be two tokens with a space between")
    parts = joiner.join(merges).split(joiner) if merges else []
    merged = list(map(str.replace, merges, repeat(joiner), repeat("")))
    for tokens in (parts, merged):
        if not all(map(ids.__contains__, tokens)):
            unknown = next(token for token in tokens if token not in ids)
            raise TokenizerError(
                f"the tokenizer's merges name {unknown!r}, which is not in its vocabulary"
            )
    return merged


def parse_merges_txt(data: bytes, name: str) -> list[str]:
    """The merges of a ``merges.txt`` or ``vocab.bpe``: one a line, behind an optional #version."""
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{name} is not UTF-8 text: {error}") from None
    if lines[0].startswith("#version"):
        del lines[0]
    if b"\r" in data:
        lines = [line.removesuffix("\r") for line in lines]
    return list(filter(None, lines))


def by_score(pieces: Sequence[str], scores: Sequence[float]) -> dict[str, int]:
    """The table of SentencePiece scores: any two neighbours that make a piece, best score first.

    Raises:
        TokenizerError: a score is not a number.
    """
    if any(map(isnan, scores)):
        raise TokenizerError("the tokenizer's scores are damaged: one is not a number")
    # Dense ranks keep ties (leftmost wins) and are quicker to compare than floats.
    places = {score: place for place, score in enumerate(sorted(set(scores), reverse=True))}
    return {piece: places[score] for piece, score in zip(pieces, scores, strict=True)}
