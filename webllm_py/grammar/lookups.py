"""States behind many tokens at once, where there is no need to read each."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from webllm_py.grammar.characters import utf8
from webllm_py.grammar.masks import TokenMasks
from webllm_py.grammar.pushdown import State
from webllm_py.grammar.slices import CLASSES, EVERYTHING, LONGEST, PARTS, SLICES
from webllm_py.grammar.term import EPSILON, Regular, refine

__all__ = ["PAIRS", "Lookups"]

PAIRS = 96
"""Most tokens of a state that are looked up before they are met."""
CHARACTERS = [utf8(ranges) for ranges in SLICES]


class Lookups:
    """What is behind tokens of one vocabulary.

    Args:
        masks: of the vocabulary, with their tables made.
    """

    def __init__(self, masks: TokenMasks):
        self.masks = masks
        self.clear()

    def clear(self) -> None:
        """Forget all states."""
        self._behind: dict[State, tuple[State | None, ...]] = {}

    def by_class(self, state: State, allowed: int) -> tuple[Sequence[State | None], int]:
        """What is behind tokens of each class, where these lead to one state; and those of the
        allowed tokens of which this does not tell.

        Args:
            allowed: as the bits of an integer.
        """
        found: list[State | None] = [None] * CLASSES
        left = allowed
        for part in range(len(SLICES)):
            if not allowed & self.masks.up_to(part, LONGEST):
                continue
            at, length = state, 0
            while length < LONGEST and (after := self._behind_character(at)[part]):
                found[LONGEST * part + length] = at = after
                length += 1
            if length:
                left &= ~self.masks.up_to(part, length)
        return found, left

    def first_of(self, allowed: int) -> Iterator[int]:
        """The first of some tokens, whole characters, which in most vocabularies are usual."""
        count = 0
        words = array("Q", allowed.to_bytes(-(-self.masks.words // 2) * 8, "little"))
        for place, word in enumerate(words):
            while word:
                token = 64 * place + (word & -word).bit_length() - 1
                word &= word - 1
                if self.masks.classes[token] != PARTS and token not in self.masks.ends:
                    yield token
                    count += 1
                    if count == PAIRS:
                        return

    def _behind_character(self, state: State) -> tuple[State | None, ...]:
        """For each slice, the only state behind any of its characters that is allowed; None where
        they lead to several, or none is."""
        known = self._behind.get(state)
        if known is None:
            of_any = behind(state, CHARACTERS[EVERYTHING])
            if of_any:
                known = (of_any,) * len(SLICES)
            else:
                known = (*(behind(state, each) for each in CHARACTERS[:EVERYTHING]), None)
            self._behind[state] = known
        return known


def behind(state: State, character: Regular) -> State | None:
    """The only state that the allowed ones of some characters lead to, if it is one."""
    found: State | None = None
    pending = [(state, character)]
    seen = set(pending)
    while pending:
        at, rest = pending.pop()
        if rest is EPSILON:
            if found not in (None, at):
                return None
            found = at
            continue
        parts = refine([term.classes() for term, _ in at.configurations])
        for wanted in rest.classes():
            for members in parts:
                common = wanted & members
                if not common:
                    continue
                byte = (common & -common).bit_length() - 1
                after = at.step(byte)
                pair = (after, rest.step(byte))
                if after is not None and pair not in seen:
                    seen.add(pair)  # type: ignore[arg-type]
                    pending.append(pair)  # type: ignore[arg-type]
    return found
