"""Byte-pair encoding: joins neighbouring symbols, best priority first, leftmost among equals.

One engine serves three sources. Each gives a mapping from a *key* to a priority (lower is joined
first), the key of the neighbours ``a`` and ``b`` being ``a + joiner + b``:

===================  ======  ========================================================
source               joiner  mapping
===================  ======  ========================================================
list of merges       " "     the merge as it is written, "Ġ t", to its place in the list
tiktoken ranks       ""      the joined token to its rank
SentencePiece        ""      the joined token to the place of its score, best first
===================  ======  ========================================================

References: Sennrich et al. 2016 (BPE); Kudo and Richardson 2018 (SentencePiece).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import pairwise

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.byte_level import text_to_chars

__all__ = ["BPE"]

_NEVER = 1 << 29  # above every priority; small, because comparing ints below 2**30 is quickest
_LONG = 400  # symbols from which the heap is quicker than scanning lists
_CACHED_WORDS = 1 << 15
_CACHED_LENGTH = 48


@dataclass
class BPE:
    """A BPE model.

    Attributes:
        ids: token text to id.
        priorities, joiner: see the module.
        byte_level: words are mapped to the byte-level alphabet first.
        whole_words: a word that is a token is taken as it is (Llama 3's ``ignore_merges``).
        byte_ids: ids of the 256 byte tokens ("<0x00>" ...) for symbols without a token.
        unknown_id: id for symbols that no byte tokens cover.
        fuse_unknown: neighbouring unknown symbols become one unknown id.
    """

    ids: Mapping[str, int]
    priorities: Mapping[str, int]
    joiner: str
    byte_level: bool = False
    whole_words: bool = False
    byte_ids: Sequence[int] = ()
    unknown_id: int | None = None
    fuse_unknown: bool = False
    _cache: dict[str, list[int]] = field(default_factory=dict, repr=False)

    def encode(self, word: str) -> list[int]:
        """The ids of a word.

        Raises:
            TokenizerError: a symbol has no token, and there is no unknown token.
        """
        ids = self._cache.get(word)
        if ids is None:
            ids = self._encode(word)
            if len(word) <= _CACHED_LENGTH:
                if len(self._cache) >= _CACHED_WORDS:
                    self._cache.clear()
                self._cache[word] = ids
        return ids

    def _encode(self, word: str) -> list[int]:
        text = text_to_chars(word) if self.byte_level else word
        if self.whole_words and text in self.ids:
            return [self.ids[text]]
        symbols = self._merged(text) if len(text) < _LONG else self._merged_long(text)
        try:
            return [self.ids[symbol] for symbol in symbols]
        except KeyError:
            return self._with_unknown(symbols)

    def _merged(self, text: str) -> list[str]:
        symbols = list(text)
        priority, joiner = self.priorities.get, self.joiner
        best = [priority(a + joiner + b, _NEVER) for a, b in pairwise(symbols)]
        while best:
            least = min(best)
            if least == _NEVER:
                break
            at = best.index(least)
            del best[at]
            joined = symbols[at] = symbols[at] + symbols.pop(at + 1)
            if at:
                best[at - 1] = priority(symbols[at - 1] + joiner + joined, _NEVER)
            if at < len(best):
                best[at] = priority(joined + joiner + symbols[at + 1], _NEVER)
        return symbols

    def _merged_long(self, text: str) -> list[str]:
        """The same with a heap over a linked list: n log n."""
        symbols = list(text)
        size = len(symbols)
        left = list(range(-1, size - 1))
        right = list(range(1, size + 1))
        priority, joiner = self.priorities.get, self.joiner
        best = [priority(a + joiner + b, _NEVER) for a, b in pairwise(symbols)]
        best.append(_NEVER)  # the last symbol has no right neighbour
        # An entry is priority * size + position: orders as the pair would, compares quicker.
        heap = [value * size + at for at, value in enumerate(best) if value != _NEVER]
        heapify(heap)
        while heap:
            value, at = divmod(heappop(heap), size)
            if best[at] != value:
                continue  # the pair has changed since
            gone = right[at]
            joined = symbols[at] = symbols[at] + symbols[gone]
            symbols[gone] = ""
            best[gone] = _NEVER
            after = right[at] = right[gone]
            best[at] = _NEVER
            if after < size:
                left[after] = at
                best[at] = value = priority(joined + joiner + symbols[after], _NEVER)
                if value != _NEVER:
                    heappush(heap, value * size + at)
            before = left[at]
            if before >= 0:
                best[before] = value = priority(symbols[before] + joiner + joined, _NEVER)
                if value != _NEVER:
                    heappush(heap, value * size + before)
        return [symbol for symbol in symbols if symbol]

    def _with_unknown(self, symbols: list[str]) -> list[int]:
        """The ids where some symbol is no token."""
        out: list[int] = []
        previous_unknown = False
        for symbol in symbols:
            known = self.ids.get(symbol)
            unknown = known is None and not self.byte_ids
            if known is not None:
                out.append(known)
            elif not unknown:
                out += [self.byte_ids[byte] for byte in symbol.encode()]
            elif self.unknown_id is None:
                raise TokenizerError(
                    f"the vocabulary has no token for {symbol!r}, and no unknown token to put there"
                )
            elif not (previous_unknown and self.fuse_unknown):
                out.append(self.unknown_id)
            previous_unknown = unknown
        return out
