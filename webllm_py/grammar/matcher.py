"""One text being written under a grammar: what may come next, what must, and steps back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from webllm_py.errors import GrammarError
from webllm_py.grammar.masks import TokenMasks
from webllm_py.grammar.pushdown import Grammar, State

if TYPE_CHECKING:
    from webllm_py.grammar.automaton import Automaton, Spelled

__all__ = ["Matcher"]


class Matcher:
    """Reads bytes or tokens; each successful call can be taken back.

    Args:
        grammar: what the text must be in.
        masks: of the vocabulary; without it only bytes are read.
    """

    def __init__(self, grammar: Grammar, masks: TokenMasks | None = None):
        self.grammar = grammar
        self._masks = masks
        self._states: list[State] = [grammar.start()]
        self._ended: list[bool] = [False]

    @property
    def is_complete(self) -> bool:
        """Whether the text may end here."""
        return self.state.complete

    @property
    def is_ended(self) -> bool:
        """Whether a token that ends the text was accepted."""
        return self._ended[-1]

    @property
    def masks(self) -> TokenMasks:
        if self._masks is None:
            raise GrammarError("this matcher was made without a vocabulary; give it TokenMasks")
        return self._masks

    @property
    def is_free(self) -> bool:
        """Whether the text is free, up to a trigger."""
        return not self.is_ended and self.state.is_free

    @property
    def state(self) -> State:
        """Where reading stands."""
        return self._states[-1]

    @property
    def automaton(self) -> Callable[[Spelled], Automaton]:
        """See ``TokenMasks.automaton``."""
        return self.masks.automaton

    def allowed_bytes(self) -> list[int]:
        """The bytes that may come next."""
        first = 0 if self.is_ended else self.state.first()
        return [byte for byte in range(256) if first >> byte & 1]

    def advance(self, text: bytes) -> bool:
        """Read ``text``; where it is not allowed nothing is read, and the answer is False."""
        state = None if self.is_ended else self.state.behind(text)
        if state is None:
            return False
        self._states.append(state)
        self._ended.append(False)
        return True

    def accept(self, token: int) -> bool:
        """Read a token; where it is not allowed nothing is read, and the answer is False."""
        masks = self.masks
        if token in masks.ends:
            if not self.is_complete or self.is_ended:
                return False
            self._states.append(self.state)
            self._ended.append(True)
            return True
        text = masks.tokens[token] if 0 <= token < len(masks.tokens) else b""
        return bool(text) and self.advance(text)

    def rollback(self, count: int) -> None:
        """Take back the last ``count`` successful calls of ``advance`` and ``accept``.

        Raises:
            GrammarError: there were fewer.
        """
        if not 0 <= count < len(self._states):
            raise GrammarError(f"cannot take back {count} of {len(self._states) - 1} steps")
        if count:
            del self._states[-count:]
            del self._ended[-count:]

    def preparing(self) -> Iterator[None]:
        """Make the vocabulary's tables, see ``TokenMasks.preparing``."""
        return self.masks.preparing()

    def mask(self) -> bytes:
        """A bitmap of the tokens that may come next, in little-endian 32-bit words."""
        if self.is_ended:
            return bytes(4 * self.masks.words)
        return self.masks.mask(self.state)

    def forced(self) -> bytes:
        """See ``State.forced``."""
        return b"" if self.is_ended else self.state.forced()
