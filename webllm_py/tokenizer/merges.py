"""Merge tables for ``BPE`` from the ways in which definitions write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from math import isnan
from typing import Any

from webllm_py.errors import TokenizerError

__all__ = ["by_score", "from_merges", "merged_tokens", "parse_merges_txt"]

_NONCHARACTER = "\uffff"
_AT_ONCE = 1 << 13
_NO_BOUNDS = bytes({*range(256)} - {*b" \n"})


def from_merges(merges: list[Any], ids: Mapping[str, int]) -> tuple[dict[str, int], str]:
    """The table of a list of merges, best first: "a b", or pairs ["a", "b"].

    Returns:
        Priorities by key, and the joiner between the two sides of a key.

    Raises:
        TokenizerError: a merge is malformed, or names a token that is not in the vocabulary.
    """
    joiner = " "
    if merges and not isinstance(merges[0], str):
        pairs = _checked_pairs(merges)
        if " " in "".join(chain.from_iterable(pairs)):
            joiner = _NONCHARACTER  # a token with a space in it: "a b" would be ambiguous
        merges = list(map(joiner.join, pairs))
    tokens = list(ids)
    for start in range(0, len(merges), _AT_ONCE):
        _check(merges[start : start + _AT_ONCE], joiner, ids, tokens)
    return dict(zip(merges, range(len(merges)), strict=True)), joiner


def merged_tokens(table: Iterable[str], joiner: str) -> Iterator[str]:
    """The tokens that the merges of a table make."""
    return map(str.replace, table, repeat(joiner), repeat(""))


def _checked_pairs(merges: list[Any]) -> list[list[str]]:
    for pair in merges:
        if type(pair) is not list or list(map(type, pair)) != [str, str]:
            raise TokenizerError(f"the merge {pair!r} must be a pair of strings")
    return merges


def _check(merges: list[str], joiner: str, ids: Mapping[str, int], all_tokens: list[str]) -> None:
    # There can be 280,000: all is done by built-in functions, without a loop here, and in parts, so
    # that the pieces do not all lie in memory at once.
    try:
        lines = "\n".join(merges)
    except TypeError:
        raise TokenizerError("the tokenizer's merges must all be strings") from None
    alternate = joiner == " " and _alternate(lines, len(merges))
    if not alternate and set(map(str.count, merges, repeat(joiner))) != {1}:
        malformed = next(merge for merge in merges if merge.count(joiner) != 1)
        raise TokenizerError(f"the merge {malformed!r} must be two tokens with a space between")
    if _make_run(merges, lines.replace(joiner, ""), joiner, ids, all_tokens):
        return
    for tokens in (joiner.join(merges).split(joiner), list(merged_tokens(merges, joiner))):
        if not all(map(ids.__contains__, tokens)):
            unknown = next(token for token in tokens if token not in ids)
            raise TokenizerError(
                f"the tokenizer's merges name {unknown!r}, which is not in its vocabulary"
            )


def _alternate(lines: str, count: int) -> bool:
    """Whether the text is of so many lines with one space in each."""
    bounds = lines.encode("utf-8", "surrogatepass").translate(None, _NO_BOUNDS)
    return bounds == (b" \n" * count)[:-1]


def _make_run(
    merges: list[str], made: str, joiner: str, ids: Mapping[str, int], all_tokens: list[str]
) -> bool:
    """Whether what they make, line by line, are tokens in a row, as in GPT-2's vocabulary and those
    made like it: then none is missing. To see that takes a third of the time of looking each up."""
    start = ids.get(merges[0].replace(joiner, ""), 0)
    there = "\n".join(all_tokens[start : start + len(merges)])
    return there.count("\n") == len(merges) - 1 and there == made


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
