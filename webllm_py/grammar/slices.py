"""Parts of a vocabulary whose tokens are written with one set of characters.

Most tokens are plain words. Where a term refuses no text of such characters, all tokens of the
part are allowed without a look at any; where it only counts characters, those up to a length are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from webllm_py.grammar.characters import Ranges, utf8
from webllm_py.grammar.term import EMPTY, EPSILON, Regular, lowest
from webllm_py.grammar.trie import Trie

__all__ = ["SLICES", "Slice", "bitmap", "slice_of"]

SLICES: tuple[Ranges, ...] = (
    ((0x61, 0x7A),),
    ((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)),
    ((0x20, 0x20), (0x41, 0x5A), (0x61, 0x7A)),
    ((0x80, 0x10FFFF),),
    ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x10FFFF)),
)
"""Lower case, letters and digits, words behind a space, beyond ASCII, and all that is plain inside
a JSON string. A token belongs to the first that has all its characters."""
TERMS_LOOKED_AT = 40
TERMS_KEPT = 20_000

_WHOLE = [
    re.compile(f"[{''.join(f'{re.escape(chr(a))}-{re.escape(chr(b))}' for a, b in ranges)}]+")
    for ranges in SLICES
]


def slice_of(text: bytes) -> int | None:
    """The number of the first of ``SLICES`` that has all characters of a token; None where none
    has, or these are no whole characters."""
    try:
        characters = text.decode()
    except UnicodeDecodeError:
        return None
    for number, whole in enumerate(_WHOLE):
        if whole.fullmatch(characters):
            return number
    return None


def bitmap(words: int, tokens: Iterable[int], dense: int = 0) -> int:
    """A set of tokens as the bits of an integer of so many 32-bit words."""
    bits = bytearray(dense.to_bytes(4 * words, "little"))
    for token in tokens:
        bits[token >> 3] |= 1 << (token & 7)
    return int.from_bytes(bits, "little")


class Slice:
    """The tokens of one part; ``characters`` None is for those that no set of characters has."""

    def __init__(self, characters: Ranges | None, words: int):
        self.trie = Trie()
        self.words = words
        self._character = utf8(characters) if characters else EMPTY
        self._by_length: dict[int, list[int]] = {}
        self._up_to: list[int] = []
        self._free: dict[Regular, bool] = {}
        self._after: dict[Regular, frozenset[Regular]] = {}

    def extend(self, tokens: Sequence[tuple[bytes, int]]) -> None:
        """Add tokens, in the order of their bytes."""
        self.trie.extend(tokens)
        for text, token in tokens:
            length = len(text.decode()) if self._character is not EMPTY else 0
            self._by_length.setdefault(length, []).append(token)

    def closing(self) -> Iterator[None]:
        """There are no more tokens; yields between the parts of what is to be made of all."""
        self.trie.close()
        allowed = 0
        for length in range(max(self._by_length) + 1):
            if length in self._by_length:
                yield
                allowed = bitmap(self.words, self._by_length[length], allowed)
            self._up_to.append(allowed)
        self._by_length.clear()

    @property
    def all(self) -> int:
        """All tokens of the part."""
        return self._up_to[-1]

    def of_length(self, language: Regular) -> int | None:
        """The tokens allowed by a term that at most counts characters; None for another term."""
        if self._character is EMPTY:
            return None
        for size, allowed in enumerate(self._up_to):
            after = self.after(language)
            if len(after) > 1:
                return self.all if size == 0 and self.free(language) else None
            (following,) = after
            if following is EMPTY:
                return allowed
            if following.nullable:
                return None
            if following is language:
                break
            language = following
        return self.all

    def free(self, language: Regular) -> bool:
        """Whether surely no text of these characters is refused, or may end the term."""
        known = self._free.get(language)
        if known is None:
            known = self._look(language)
            if len(self._free) > TERMS_KEPT:
                self._free.clear()
            self._free[language] = known
        return known

    def _look(self, language: Regular) -> bool:
        if self._character is EMPTY:
            return False
        reached = {language}
        pending = [language]
        while pending:
            for following in self.after(pending.pop()):
                if following is EMPTY or following.nullable or len(reached) > TERMS_LOOKED_AT:
                    return False
                if following not in reached and not self._free.get(following):
                    reached.add(following)
                    pending.append(following)
        for term in reached:
            self._free[term] = True
        return True

    def after(self, language: Regular) -> frozenset[Regular]:
        """Everything that may follow one character, ``EMPTY`` where one is refused."""
        known = self._after.get(language)
        if known is not None:
            return known
        found: set[Regular] = set()
        seen = {(language, self._character)}
        pending = list(seen)
        while pending:
            term, character = pending.pop()
            if character is EPSILON or term is EMPTY:
                found.add(term)
                continue
            for wanted in character.classes():
                for members in term.classes():
                    common = members & wanted
                    if common:
                        wanted ^= common
                        byte = lowest(common)
                        pair = (term.step(byte), character.step(byte))
                        if pair not in seen:
                            seen.add(pair)
                            pending.append(pair)
                if wanted:
                    found.add(EMPTY)
        if len(self._after) > TERMS_KEPT:
            self._after.clear()
        answer = self._after[language] = frozenset(found or [EMPTY])
        return answer
