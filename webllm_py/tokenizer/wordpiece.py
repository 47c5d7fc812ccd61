"""WordPiece: a word as the longest tokens from left to right, or as one unknown token.

Tokens that go on a word are written with a prefix, "##ing". References: Schuster and Nakajima 2012;
Devlin et al. 2018 (BERT, arXiv 1810.04805).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.vocabulary import CONTINUATION

__all__ = ["MOST_CHARS", "WordPiece"]

MOST_CHARS = 100
_CACHED_WORDS = 1 << 15


@dataclass
class WordPiece:
    """A WordPiece model.

    Attributes:
        ids: token text to id.
        unknown_id: stands for a word that has a part without a token.
        prefix: of tokens that go on a word.
        most_chars: a longer word is unknown.
    """

    ids: Mapping[str, int]
    unknown_id: int | None
    prefix: str = CONTINUATION
    most_chars: int = MOST_CHARS
    _cache: dict[str, list[int]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._longest = max(map(len, self.ids), default=0)

    def encode(self, word: str) -> list[int]:
        """The ids of a word.

        Raises:
            TokenizerError: it is unknown, and there is no unknown token.
        """
        if len(word) > self.most_chars:
            return self._unknown(word)
        ids = self._cache.get(word)
        if ids is None:
            ids = self._encode(word)
            if len(self._cache) >= _CACHED_WORDS:
                self._cache.clear()
            self._cache[word] = ids
        return ids

    def _encode(self, word: str) -> list[int]:
        out: list[int] = []
        start = 0
        while start < len(word):
            prefix = self.prefix if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                found = self.ids.get(prefix + word[start:end])
                if found is not None:
                    out.append(found)
                    start = end
                    break
            else:
                return self._unknown(word)
        return out

    def _unknown(self, word: str) -> list[int]:
        if self.unknown_id is None:
            raise TokenizerError(
                f"the vocabulary has no tokens for {word[:40]!r}, and no unknown token to put there"
            )
        return [self.unknown_id]
