"""Search by words: BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

__all__ = ["BM25"]

KeyT = TypeVar("KeyT", bound=Hashable)


class BM25(Generic[KeyT]):
    """An inverted index that grows and shrinks.

    Args:
        k1: how soon more of a word counts no more.
        b: how far long texts are held to have words for being long; from 0 to 1.
    """

    def __init__(self, *, k1: float = 1.2, b: float = 0.75):
        self.k1, self.b = k1, b
        self._texts: dict[KeyT, Counter[str]] = {}
        self._found: defaultdict[str, dict[KeyT, int]] = defaultdict(dict)
        self._length = 0  # words of all texts

    def add(self, key: KeyT, words: Iterable[str]) -> None:
        """Add a text, in the place of what has that key."""
        self.remove(key)
        counts = self._texts[key] = Counter(words)
        self._length += counts.total()
        for word, count in counts.items():
            self._found[word][key] = count

    def remove(self, key: KeyT) -> None:
        """Forget a text; no error if it is not there."""
        counts = self._texts.pop(key, Counter[str]())
        self._length -= counts.total()
        for word in counts:
            del self._found[word][key]
            if not self._found[word]:
                del self._found[word]

    def rank(self, words: Iterable[str]) -> list[tuple[KeyT, float]]:
        """Every text with one of the words, and its score, the best first."""
        scores: defaultdict[KeyT, float] = defaultdict(float)
        for word in words:
            found = self._found.get(word, {})
            weight = self._weight(len(found))
            for key, count in found.items():
                scores[key] += weight * self._saturated(count, self._texts[key].total())
        return sorted(scores.items(), key=lambda item: -item[1])

    def _weight(self, count: int) -> float:
        """The inverse document frequency, as Lucene has it: never negative."""
        return math.log(1 + (len(self._texts) - count + 0.5) / (count + 0.5))

    def _saturated(self, count: int, length: int) -> float:
        relative = length * len(self._texts) / self._length
        return count * (self.k1 + 1) / (count + self.k1 * (1 - self.b + self.b * relative))
