"""What answers' texts must be, and where each of them stands."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from webllm_py.runtime.sampling.automaton import Automaton

__all__ = ["Constraint", "Place", "Vocabulary", "spelling"]

# A pass over one row or two takes as long as a step or two, which have been begun already.
FEWEST = 2


class Constraint(Protocol):
    """What the text must be, as ``webllm_py.grammar.Matcher`` knows it."""

    @property
    def is_free(self) -> bool:
        """Whether hardly a token is refused, and the text may end."""

    @property
    def is_ended(self) -> bool:
        """Whether a token that ends the text was accepted."""

    @property
    def state(self) -> Any:
        """Where the text stands."""

    @property
    def automaton(self) -> Callable[[Callable[[bytes], Sequence[int]]], Automaton]:
        """What knows of states and tokens together; of the tokens that spell bytes which must come
        next."""

    def preparing(self) -> Iterator[None]:
        """Make what the first mask needs, in pieces of a few milliseconds."""

    def mask(self) -> bytes:
        """A bitmap of the tokens that may come next; see ``Sampler.mask``."""

    def accept(self, token: int) -> bool:
        """Take note of a token; False, and nothing happens, where it is not allowed."""


class Vocabulary(Protocol):
    """What is known of tokens, as ``webllm_py.tokenizer.Tokenizer`` knows it."""

    @property
    def end_ids(self) -> Collection[int]:
        """Tokens that end a text."""

    def token_bytes(self, id: int) -> bytes:
        """The bytes a token stands for."""

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """The tokens of a text."""


class Place:
    """Where an answer's text stands under its constraint.

    Text that leaves no choice is spelled as the tokenizer would: behind a token that ends before
    it, the spelling's tokens are the only ones, one after the other. So the tokens are the same
    whether all of them are put behind the text at once, or each is drawn.

    Args:
        vocabulary: None: nothing is spelled.

    Attributes:
        begun, spelled: a state, and how many tokens of the spelling there the text has.
    """

    def __init__(self, constraint: Constraint, vocabulary: Vocabulary | None):
        self.constraint = constraint
        self.automaton = constraint.automaton(partial(certain, vocabulary))
        self._stand()

    def _stand(self) -> None:
        self.begun, self.spelled = self.constraint.state, 0
        self._spelling = self.automaton.spelling(self.begun)

    @property
    def coming(self) -> Sequence[int]:
        """The only tokens that may come next, one after the other."""
        return self._spelling[self.spelled :]

    @property
    def state(self) -> Any:
        """See ``Constraint.state``."""
        return self.constraint.state

    @property
    def is_free(self) -> bool:
        """See ``Constraint.is_free``."""
        return self.constraint.is_free

    @property
    def is_ended(self) -> bool:
        """See ``Constraint.is_ended``."""
        return self.constraint.is_ended

    def accept(self, token: int) -> bool:
        """See ``Constraint.accept``."""
        if not self.constraint.accept(token):
            return False
        if self._spelling and self._spelling[self.spelled] == token:
            self.spelled += 1
            if self.spelled < len(self._spelling):
                return True
        self._stand()
        return True


def certain(vocabulary: Vocabulary | None, forced: bytes) -> list[int]:
    """Tokens that spell bytes which must come next, where these are more than a few. The last of
    them is left out: it may become another, longer one with what follows."""
    text = whole_characters(forced)
    tokens = spelling(vocabulary, text)[:-1] if vocabulary and text else []
    return tokens if len(tokens) >= FEWEST else []


def spelling(vocabulary: Vocabulary, text: str) -> list[int]:
    """The tokens that spell just this text behind another; none where the tokenizer changes it."""
    # SentencePiece begins a text with a space, which behind a line break it does not.
    for before in ("", "\n"):
        tokens, skipped = vocabulary.encode(before + text, parse_special=False), b""
        while tokens and len(skipped.strip(b" ")) < len(before):
            skipped += vocabulary.token_bytes(tokens.pop(0))
        if b"".join(map(vocabulary.token_bytes, tokens)) == text.encode():
            return tokens
    return []


def whole_characters(data: bytes) -> str:
    """The text of these bytes up to the last whole character; nothing if they begin within one."""
    try:
        return codecs.utf_8_decode(data, "strict", False)[0]
    except UnicodeDecodeError:
        return ""
