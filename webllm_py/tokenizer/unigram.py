"""Unigram: of all ways to write a word as tokens, the one with the highest sum of scores (Viterbi).

References: Kudo 2018 (arXiv 1804.10959); Kudo and Richardson 2018 (SentencePiece).
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan

from webllm_py.errors import TokenizerError

__all__ = ["Unigram"]

_UNKNOWN_PENALTY = 10.0  # SentencePiece's kUnkPenalty
_CACHED_WORDS = 1 << 15
_CACHED_LENGTH = 48


@dataclass
class Unigram:
    """A Unigram model.

    Attributes:
        scores: token text to its logarithmic probability.
        ids: token text to id; of every token that has a score.
        unknown_id: stands for neighbouring characters without a token.
        byte_ids: ids of the 256 byte tokens, which stand for such characters instead.
        least: the score that ten less than is an unknown character's.
        single_precision: sums are rounded as SentencePiece's own, which decides between equals.
    """

    scores: Mapping[str, float]
    ids: Mapping[str, int]
    unknown_id: int | None = None
    byte_ids: Sequence[int] = ()
    least: float = 0.0
    single_precision: bool = False
    _cache: dict[str, list[int]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if any(map(isnan, self.scores.values())):
            raise TokenizerError("the tokenizer's scores are damaged: one is not a number")
        self._longest: dict[str, int] = {}  # token by its first character
        for piece in filter(None, self.scores):
            self._longest[piece[0]] = max(len(piece), self._longest.get(piece[0], 0))

    def encode(self, word: str) -> list[int]:
        """The ids of a word.

        Raises:
            TokenizerError: a character has no token, and there is no unknown token.
        """
        ids = self._cache.get(word)
        if ids is None:
            ids = self._ids(word, self._starts(word))
            if len(word) <= _CACHED_LENGTH:
                if len(self._cache) >= _CACHED_WORDS:
                    self._cache.clear()
                self._cache[word] = ids
        return ids

    def _starts(self, word: str) -> list[int]:
        """For each end of the best path's tokens where the token begins; -1 - that of an unknown
        character."""
        size = len(word)
        best = array("f" if self.single_precision else "d", [0.0]) * (size + 1)
        total = best[:1]  # rounds as they do
        starts = [size] * (size + 1)  # none yet
        score_of, longest = self.scores.get, self._longest.get
        for start in range(size):
            till_here = best[start]
            single = False
            for end in range(start + 1, min(start + longest(word[start], 0), size) + 1):
                score = score_of(word[start:end])
                if score is None:
                    continue
                single |= end == start + 1
                total[0] = till_here + score
                if starts[end] == size or total[0] > best[end]:
                    best[end], starts[end] = total[0], start
            if not single:
                end, total[0] = start + 1, till_here + (self.least - _UNKNOWN_PENALTY)
                if starts[end] == size or total[0] > best[end]:
                    best[end], starts[end] = total[0], -1 - start
        return starts

    def _ids(self, word: str, starts: list[int]) -> list[int]:
        out: list[int] = []  # from the end
        end, after_unknown = len(word), False
        while end > 0:
            start = starts[end]
            unknown = start < 0
            if unknown:
                start = -1 - start
                self._add_unknown(out, word[start:end], after_unknown)
            else:
                out.append(self.ids[word[start:end]])
            end, after_unknown = start, unknown
        out.reverse()
        return out

    def _add_unknown(self, out: list[int], char: str, after_unknown: bool) -> None:
        if self.byte_ids:
            out += [self.byte_ids[byte] for byte in reversed(char.encode())]
        elif self.unknown_id is None:
            raise TokenizerError(
                f"the vocabulary has no token for {char!r}, and no unknown token to put there"
            )
        elif not after_unknown:
            out.append(self.unknown_id)
