"""Which tokens of a vocabulary a grammar allows next, as a bitmap.

The part of a mask that depends on one term only, not on the stack, is found once for each term and
vocabulary, whatever the grammar.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webllm_py.grammar.pushdown import State
from webllm_py.grammar.regular import Choice, InSequence, Repetition, choice, repeat, sequence
from webllm_py.grammar.slices import SLICES, Slice, bitmap, slice_of
from webllm_py.grammar.term import Regular
from webllm_py.grammar.trie import Trie

if TYPE_CHECKING:
    from webllm_py.grammar.automaton import Automaton, Spelled

__all__ = ["TokenMasks"]

SHORT = 16
"""Bytes of a short token; counts above it make no difference to short tokens."""
PIECE = 512
"""Tokens between two yields while the tables are made."""
DENSE = 512
"""Tokens from which a set is kept as a bitmap."""
TERMS_KEPT = 4096
MASKS_KEPT = 1024


@dataclass(frozen=True)
class _Part:
    """What one term allows: a bitmap, single tokens, and where in a tree the term may be over."""

    dense: int
    tokens: Sequence[int]
    exits: Sequence[tuple[Trie, list[int]]]


class TokenMasks:
    """Masks over one vocabulary.

    Args:
        tokens: the bytes of each token by its id; empty for what a grammar never allows, such as
            special tokens.
        ends: the tokens that end a text; allowed where the grammar is complete.
    """

    def __init__(self, tokens: Sequence[bytes], ends: Collection[int] = ()):
        self.tokens = tokens
        self.ends = tuple(ends)
        self.words = (len(tokens) + 31) // 32
        self._terms: OrderedDict[tuple[Regular, bool], _Part] = OrderedDict()
        self._masks: OrderedDict[State, bytes] = OrderedDict()
        self._slices: list[tuple[bool, Slice]] | None = None
        self._automaton: Automaton | None = None
        self._making = self._made()

    def preparing(self) -> Iterator[None]:
        """Make the tables of the vocabulary, before the first mask needs them.

        That takes seconds for a large vocabulary in a browser; yields every few milliseconds.
        """
        while self._slices is None:
            next(self._making)
            yield

    def _made(self) -> Iterator[None]:
        groups: dict[tuple[int | None, bool], dict[bytes, list[tuple[bytes, int]]]] = {}
        for token, text in enumerate(self.tokens):
            if token % PIECE == 0:
                yield
            if text and token not in self.ends:
                number = slice_of(text)
                group = groups.setdefault((number, len(text) <= SHORT), {})
                group.setdefault(text[:2], []).append((text, token))
        made = []
        for (number, short), group in groups.items():
            characters = None if number is None else SLICES[number]
            part, size = Slice(characters, self.words), 0
            for begin in sorted(group):
                if size > PIECE:
                    size = 0
                    yield
                part.extend(sorted(group[begin]))
                size += len(group[begin])
            yield from part.closing()
            made.append((short, part))
        self._slices = made
        yield

    @property
    def _vocabulary(self) -> list[tuple[bool, Slice]]:
        """Parts of the vocabulary. Texts that are read, but not masked, never need them."""
        for _ in self.preparing():
            pass
        assert self._slices is not None
        return self._slices

    def automaton(self, spelled: Spelled) -> Automaton:
        """What is known of states and tokens together, of all grammars; see ``Automaton``."""
        if self._automaton is None:
            from webllm_py.grammar.automaton import Automaton  # not before it is needed

            self._automaton = Automaton(self, spelled)
        return self._automaton

    def forget_states(self) -> None:
        """Let the automaton begin anew."""
        self._automaton = None

    def mask(self, state: State) -> bytes:
        """The allowed tokens: bit ``i % 32`` of the little-endian word ``i // 32`` for token i."""
        found = self._masks.get(state)
        if found is None:
            found = self._masks[state] = self._mask(state)
            if len(self._masks) > MASKS_KEPT:
                self._masks.popitem(last=False)
        else:
            self._masks.move_to_end(state)
        return found

    def _mask(self, state: State) -> bytes:
        dense = 0
        tokens: list[int] = list(self.ends) if state.complete else []
        for language, frame in state.configurations:
            behind: State | None = None
            for part in self._parts(language):
                dense |= part.dense
                tokens += part.tokens
                for trie, nodes in part.exits:
                    if behind is None:
                        behind = state.grammar.state(*frame.reached())
                    for node in nodes:
                        trie.below(node, behind, tokens)
        return bitmap(self.words, tokens, dense).to_bytes(4 * self.words, "little")

    def _parts(self, language: Regular) -> tuple[_Part, _Part]:
        short = language if language.boolean else capped(language, SHORT + 1)
        return self._part(short, True), self._part(language, False)

    def _part(self, language: Regular, short: bool) -> _Part:
        key = (language, short)
        found = self._terms.get(key)
        if found is None:
            found = self._terms[key] = self._found(language, short)
            if len(self._terms) > TERMS_KEPT:
                self._terms.popitem(last=False)
        else:
            self._terms.move_to_end(key)
        return found

    def _found(self, language: Regular, short: bool) -> _Part:
        dense = 0
        tokens: list[int] = []
        exits: list[tuple[Trie, list[int]]] = []
        first = language.first()
        for size, part in self._vocabulary:
            if size is not short or not first & part.trie.first:
                continue
            counted = part.of_length(language)
            if counted is not None:
                dense |= counted
                continue
            bounds, over = part.trie.within(language, part.free)
            order = part.trie.order
            if 2 * sum(bounds[1::2]) - 2 * sum(bounds[::2]) > len(order):
                refused: list[int] = []
                for start, stop in zip([0, *bounds[1::2]], [*bounds[::2], len(order)], strict=True):
                    refused += order[start:stop]
                dense |= part.all ^ bitmap(self.words, refused)
            else:
                for start, stop in zip(bounds[::2], bounds[1::2], strict=True):
                    tokens += order[start:stop]
            if over:
                exits.append((part.trie, over))
        if len(tokens) >= DENSE:
            dense, tokens = bitmap(self.words, tokens, dense), []
        return _Part(dense, tokens, exits)


def capped(term: Regular, limit: int) -> Regular:
    """A term that nobody can tell from this one within fewer than ``limit`` bytes.

    Counts are cut to ``limit``. Not for intersections and complements: whether anything is left of
    those can depend on the exact count.
    """
    if isinstance(term, InSequence):
        return sequence(capped(term.head, limit), term.tail)
    if isinstance(term, Choice):
        return choice(*(capped(option, limit) for option in term.options))
    if isinstance(term, Repetition):
        most = None if term.most is None else min(term.most, limit)
        return repeat(term.item, min(term.least, limit), most)
    return term
