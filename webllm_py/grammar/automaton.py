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

from webllm_py.grammar.characters import utf8
from webllm_py.grammar.descriptions import ENDS, INSIDE, Description, Place, Sizes
from webllm_py.grammar.masks import TokenMasks
from webllm_py.grammar.pushdown import Frame, State
from webllm_py.grammar.quoted import CLOSING, DUE, Endings, is_inside
from webllm_py.grammar.slices import CLASSES, LONGEST, PARTS, SLICES
from webllm_py.grammar.term import EPSILON, Regular, refine

__all__ = ["Automaton", "Spelled"]

PAIRS = 96
"""Most tokens of a state that are looked up before they are met."""
CHARACTERS = [utf8(ranges) for ranges in SLICES]
EVERYTHING = len(SLICES) - 1  # the slice that has the characters of all others
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
        self._endings = Endings(masks.tokens[token] for token in masks.quoted)
        self.clear()

    def clear(self) -> None:
        """Forget all states and numbers."""
        self._numbers: dict[tuple[State, int], int] = {}
        self._states: dict[int, tuple[State, int]] = {}
        self._count = 0  # of states outside of quotes
        self._terms: list[Regular] = []
        self._term_numbers: dict[Regular, int] = {}
        self._is_inside: dict[Regular, bool] = {}
        self._ways: dict[Regular, int] = {CLOSING: DUE}
        self._frames: dict[Frame, int] = {}
        self._kinds: dict[tuple[int, ...], int] = {}
        self._kind_of: list[int] = []
        self._usual: list[Sequence[tuple[int, State]]] = []
        self._ends: dict[int, dict[int, int]] = {}
        self._descriptions: dict[Place, Description] = {}
        self._spellings: dict[State, Sequence[int]] = {}
        self._behind: dict[State, tuple[State | None, ...]] = {}

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
        if len(state.configurations) != 1:
            return 0
        ((term, frame),) = state.configurations
        if not self._inside_quotes(term):
            return 0
        term_number, frame_number = self._term(term), self._frame(state, frame)
        if term_number is None or frame_number is None:
            return 0
        return self.sizes.states + frame_number * self.sizes.terms + term_number

    def _inside_quotes(self, term: Regular) -> bool:
        known = self._is_inside.get(term)
        if known is None:
            known = self._is_inside[term] = is_inside(term)
        return known

    def _term(self, term: Regular) -> int | None:
        if term not in self._term_numbers and len(self._terms) < self.sizes.terms:
            self._term_numbers[term] = len(self._terms)
            self._terms.append(term)
        return self._term_numbers.get(term)

    def _frame(self, state: State, frame: Frame) -> int | None:
        """The number of what is around a state."""
        found = self._frames.get(frame)
        if found is None and len(self._frames) < self.sizes.frames:
            allowed = self._endings.allowed(state.grammar.state(*frame.reached()))
            kind = tuple(sorted(number for number, _ in allowed))
            if kind not in self._kinds and len(self._kinds) == self.sizes.kinds:
                return None
            found = self._frames[frame] = len(self._frames)
            self._kind_of.append(self._kinds.setdefault(kind, len(self._kinds)))
            due = state.grammar.state(frozenset([(CLOSING, frame)]), False)
            self._usual.append([(DUE, due), *self._endings.usual(allowed)])
        return found

    def place(self, number: int) -> Place:
        """Where a state's description belongs."""
        if number < self.sizes.states:
            return Place(state=number)
        frame, term = divmod(number - self.sizes.states, self.sizes.terms)
        return Place(frame=frame, term=term, kind=self._kind_of[frame])

    def ends(self, frame: int) -> dict[int, int]:
        """The states behind the ways out of quotes that are known in a frame: some are at once."""
        found = self._ends.get(frame)
        if found is None:
            found = {way: self.number(after) for way, after in self._usual[frame]}
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
        own, known = self.classes[token], self.describe(number)
        word = known.by_class[own] if own < len(known.by_class) else 0
        return self._resolved(number, word or known.pairs.get(token, 0))

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
            inner = frozenset([(self._terms[word & ~INSIDE], frame)])
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
        for place, byte in enumerate(text, start=1):
            term = term.step(byte)
            if term is EPSILON:
                return ENDS | self._endings.number(text[place:])
        return self._word_of(term)

    def _word_of(self, term: Regular) -> int:
        """The same for what is left of a text in quotes."""
        if self._inside_quotes(term):
            number = self._term(term)
            return 0 if number is None else INSIDE | number
        return ENDS | self._ways.setdefault(term, self._endings.count + len(self._ways))

    def described(self, number: int) -> Iterator[tuple[int, Description]]:
        """A state's description, behind those of the states that certainly follow."""
        state, _ = self._states[number]
        for i in reversed(range(1, len(self.spelling(state)))):
            following = self.number(state, i)
            yield following, self.describe(following)
        yield number, self.describe(number)

    def describe(self, number: int) -> Description:
        """What is known of a state."""
        place = self.place(number)
        known = self._descriptions.get(place)
        if known is None:
            state, spelled = self._states[number]
            spelling = self.spelling(state)
            known = self._spelled(state, spelling, spelled) if spelling else self._drawn(state)
            self._descriptions[place] = known
        return known

    def _spelled(self, state: State, spelling: Sequence[int], spelled: int) -> Description:
        token = spelling[spelled]
        if spelled + 1 < len(spelling):
            return Description(token, pairs={token: self.number(state, spelled + 1)})
        after = state.behind(b"".join(self.masks.tokens[token] for token in spelling))
        assert after is not None
        return Description(token, pairs={token: self.number(after)})

    def _drawn(self, state: State) -> Description:
        mask = self.masks.mask(state)
        allowed = int.from_bytes(mask, "little")
        count = allowed.bit_count()
        only = allowed.bit_length() - 1 if count == 1 else mask
        return Description(only, wide=count > PAIRS, looked=False)

    def _look(self, number: int, state: State, known: Description) -> None:
        """Look up what is behind tokens, as far as that is quick."""
        mask = known.mask
        allowed = 1 << mask if isinstance(mask, int) else int.from_bytes(mask, "little")
        if known.wide:
            known.by_class = self._by_class(number, state, allowed)
            for part in range(len(SLICES)):
                own = known.by_class[LONGEST * part : LONGEST * (part + 1)]
                length = next((i for i, word in enumerate(own) if not word), LONGEST)
                if length:
                    allowed &= ~self.masks.up_to(part, length)
        for token in self._first_of(allowed):
            text = self.masks.tokens[token]
            after = state.behind(text)
            if after and (found := self.number(after)):
                known.pairs[token] = self._word(number, text, found)

    def _by_class(self, number: int, state: State, allowed: int) -> array[int]:
        """What is behind tokens of each class, where these lead to one state."""
        found = array("I", bytes(4 * CLASSES))
        quoted = number >= self.sizes.states
        for part in range(len(SLICES)):
            if not allowed & self.masks.up_to(part, LONGEST):
                continue
            at = state
            for i in range(LONGEST * part, LONGEST * (part + 1)):
                after = self._behind_character(at)[part]
                if after is None:
                    break
                found[i] = self._word_of(only_term(after)) if quoted else self.number(after)
                at = after
        return found

    def _first_of(self, allowed: int) -> Iterator[int]:
        """The first of some tokens, whole characters, which in most vocabularies are usual."""
        count = 0
        words = array("Q", allowed.to_bytes(-(-self.masks.words // 2) * 8, "little"))
        for place, word in enumerate(words):
            while word:
                token = 64 * place + (word & -word).bit_length() - 1
                word &= word - 1
                if self.classes[token] != PARTS and token not in self.masks.ends:
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


def only_term(state: State) -> Regular:
    """What a state inside of quotes reads: characters do not lead out of them."""
    ((term, _),) = state.configurations
    return term


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
