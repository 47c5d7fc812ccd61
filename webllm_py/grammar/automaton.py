"""States of texts under grammars as numbers, and the tokens that lead from one to another.

A GPU that knows these goes on from token to token by itself. Nobody could write all of them down: a
state has as many tokens behind it as a vocabulary. But most of those lead by their length to one of
a few states, as in a string of counted characters, and the others are found as they are met. What
is known inside of one string holds in others, too: see quoted.py.

Text that leaves no choice is spelled as a tokenizer would: in a state before it the only token is
the spelling's first, behind which come states of its own.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from webllm_py.grammar.descriptions import ENDS, INSIDE, Description, Place, Sizes
from webllm_py.grammar.lookups import PAIRS, Lookups
from webllm_py.grammar.masks import TokenMasks
from webllm_py.grammar.pushdown import State
from webllm_py.grammar.strings import Strings

__all__ = ["Automaton", "Spelled"]

KEPT = 1 << 16
"""States, and tokens behind them, from which on it is better to begin anew."""
Spelled: TypeAlias = Callable[[bytes], Sequence[int]]
"""The tokens that are certain where these bytes must come next; none where it does not pay."""


class Automaton:
    """Numbers of states, as they are asked for; as many as there is room for.

    A state inside of quotes has the number of its frame and term, behind all others' numbers.

    Args:
        masks: of the vocabulary, with their tables made.
        spelled: tells of text that leaves no choice.
        longest: spellings of more tokens are not part of this: they stay with the caller.
    """

    def __init__(
        self, masks: TokenMasks, spelled: Spelled, longest: int, sizes: Sizes | None = None
    ):
        self.masks = masks
        self.classes = masks.classes
        self.sizes = sizes or Sizes()
        self._spell = spelled
        self._longest = longest
        self._strings = Strings(masks, self.sizes)
        self._lookups = Lookups(masks)
        self.clear()

    def clear(self) -> None:
        """Forget all states and numbers."""
        self._strings.clear()
        self._lookups.clear()
        self._numbers: dict[tuple[State, int], int] = {}
        self._states: dict[int, tuple[State, int]] = {}
        self._count = 0  # of states outside of quotes
        self._ends: dict[int, dict[int, int]] = {}
        self._places: dict[int, Place] = {}
        self._descriptions: dict[Place, Description] = {}
        self._described: dict[int, Description] = {}
        self._spellings: dict[State, Sequence[int]] = {}
        self._known: dict[tuple[int, int], int] = {}

    @property
    def crowded(self) -> bool:
        """Whether it knows so much that it takes much memory: a string that is at a thousand places
        has a thousand numbers for each of its characters."""
        return len(self._states) + len(self._known) > KEPT

    def number(self, state: State, spelled: int = 0) -> int:
        """A state's number; 0 where there is no room for another.

        Args:
            spelled: how many tokens of what is certain behind the state are there already.
        """
        place = (state, spelled)
        found = self._numbers.get(place, 0)
        if not found:
            found = self._inside(state) or self._outside()
            if found:
                self._numbers[place] = found
                self._states[found] = place
        return found

    def _outside(self) -> int:
        if self._count == self.sizes.states - 1:
            return 0
        self._count += 1
        return self._count

    def _inside(self, state: State) -> int:
        found = self._strings.find(state)
        if found is None:
            return 0
        frame, term = found
        return self.sizes.states + frame * self.sizes.terms + term

    def place(self, number: int) -> Place:
        """Where a state's description belongs."""
        found = self._places.get(number)
        if found is None:
            if number < self.sizes.states:
                found = Place(state=number)
            else:
                frame, term = divmod(number - self.sizes.states, self.sizes.terms)
                found = Place(frame=frame, term=term, kind=self._strings.kind(frame))
            self._places[number] = found
        return found

    def ends(self, frame: int) -> dict[int, int]:
        """The states behind the ways out of quotes that are known in a frame: some are at once."""
        found = self._ends.get(frame)
        if found is None:
            found = {way: self.number(after) for way, after in self._strings.usual(frame)}
            self._ends[frame] = found
        return found

    def is_free(self, number: int) -> bool:
        """Whether the text is free in a state; see ``State.is_free``."""
        return self._states[number][0].is_free

    def certain(self, state: State) -> Sequence[int]:
        """The tokens that spell what must come next, if they are too many for this."""
        spelling = self.spelling(state)
        return spelling if len(spelling) > self._longest else ()

    def certain_behind(self, number: int) -> bool:
        """Whether there are such tokens in a state."""
        return bool(self.certain(self._states[number][0]))

    def spelling(self, state: State) -> Sequence[int]:
        """The tokens that spell what must come next, or nothing."""
        found = self._spellings.get(state)
        if found is None:
            found = self._spellings[state] = self._spell(state.forced())
        return found

    def known(self, number: int, token: int) -> int:
        """The state behind a token as far as the description has it; else 0."""
        found = self._known.get((number, token), 0)
        if not found:
            own, known = self.classes[token], self.describe(number)
            word = known.by_class[own] if own < len(known.by_class) else 0
            found = self._resolved(number, word or known.pairs.get(token, 0))
            if found:
                self._known[number, token] = found
        return found

    def following(self, number: int) -> list[int]:
        """The states that are known to follow, those that few tokens lead to first; tokens that
        were not met are looked up."""
        known = self.describe(number)
        if not known.looked:
            known.looked = True
            self._look(number, self._states[number][0], known)
        words = dict.fromkeys([*known.pairs.values(), *known.by_class])
        found = (self._resolved(number, word) for word in words)
        return [other for other in dict.fromkeys(found) if other]

    def _resolved(self, number: int, word: int) -> int:
        if not word & (INSIDE | ENDS):
            return word
        place = self.place(number)
        if word & ENDS:
            return self.ends(place.frame).get(word & ~ENDS, 0)
        found = number - place.term + (word & ~INSIDE)
        if found not in self._states:
            state, _ = self._states[number]
            ((_, frame),) = state.configurations
            inner = frozenset([(self._strings.term(word & ~INSIDE), frame)])
            self.number(state.grammar.state(inner, False))
        return found

    def behind(self, number: int, token: int) -> int:
        """The number of the state behind an allowed token; from now on it is known.

        0 where the text ends with it, or there is no room.
        """
        found = self.known(number, token)
        if not found and token not in self.masks.ends:
            state = self._states[number][0]
            text = self.masks.tokens[token]
            after = state.behind(text)
            found = self.number(after) if after else 0
            if found:
                word = self._word(number, text, found)
                self.describe(number).pairs[token] = word
                if word & ENDS:
                    self.ends(self.place(number).frame)[word & ~ENDS] = found
        return found

    def _word(self, number: int, text: bytes, after: int) -> int:
        """What the description of a state says of a token that leads to a state."""
        if number < self.sizes.states:
            return after
        ((term, _),) = self._states[number][0].configurations
        return self._strings.word_behind(term, text)

    def described(self, number: int) -> Iterator[tuple[int, Description]]:
        """A state's description, behind those of the states that certainly follow."""
        state, _ = self._states[number]
        for i in reversed(range(1, len(self.spelling(state)))):
            following = self.number(state, i)
            yield following, self.describe(following)
        yield number, self.describe(number)

    def describe(self, number: int) -> Description:
        """What is known of a state."""
        found = self._described.get(number)
        if found is None:
            found = self._described[number] = self._describe(number)
        return found

    def _describe(self, number: int) -> Description:
        place = self.place(number)
        key = place._replace(frame=0)  # it is the same in all frames of a kind
        known = self._descriptions.get(key)
        if known is None:
            state, spelled = self._states[number]
            spelling = self.spelling(state)
            if spelling:
                known = self._spelled(state, spelling, spelled)
            else:
                known = self._drawn(state, place)
            self._descriptions[key] = known
        return known

    def _spelled(self, state: State, spelling: Sequence[int], spelled: int) -> Description:
        token = spelling[spelled]
        if spelled + 1 < len(spelling):
            return Description(token, pairs={token: self.number(state, spelled + 1)})
        after = state.behind(b"".join(self.masks.tokens[token] for token in spelling))
        assert after is not None
        return Description(token, pairs={token: self.number(after)})

    def _drawn(self, state: State, place: Place) -> Description:
        mask = self.masks.mask(state)
        if place.state:
            known = Description(mask, looked=False)
        else:
            known = self._strings.describe(place.frame, place.term, mask)
        allowed = int.from_bytes(mask, "little")
        count = allowed.bit_count()
        known.wide = count > PAIRS
        if count == 1:
            known.mask = allowed.bit_length() - 1
        return known

    def _look(self, number: int, state: State, known: Description) -> None:
        """Look up what is behind tokens, as far as that is quick."""
        mask = known.mask
        allowed = 1 << mask if isinstance(mask, int) else int.from_bytes(mask, "little")
        if known.wide and number < self.sizes.states:
            behind, allowed = self._lookups.by_class(state, allowed)
            known.by_class = array("I", [self.number(after) if after else 0 for after in behind])
        for token in self._lookups.first_of(allowed):
            text = self.masks.tokens[token]
            after = state.behind(text)
            if after and (found := self.number(after)):
                known.pairs[token] = self._word(number, text, found)
