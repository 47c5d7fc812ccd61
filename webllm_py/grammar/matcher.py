"""One text being written under a grammar: what may come next, what must, and steps back."""

from __future__ import annotations

from collections.abc import Iterator

from webllm_py.errors import GrammarError
from webllm_py.grammar.masks import TokenMasks
from webllm_py.grammar.pushdown import Grammar, State

__all__ = ["Matcher"]

FORCED_LIMIT = 4096
"""Bytes after which a forced text is cut, for grammars that force one without end."""


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
        return self._states[-1].complete

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
        state = self._states[-1]
        return not self.is_ended and any(term.ends for term, _ in state.configurations)

    def allowed_bytes(self) -> list[int]:
        """The bytes that may come next."""
        first = 0 if self.is_ended else self._states[-1].first()
        return [byte for byte in range(256) if first >> byte & 1]

    def advance(self, text: bytes) -> bool:
        """Read ``text``; where it is not allowed nothing is read, and the answer is False."""
        state: State | None = None if self.is_ended else self._states[-1]
        for byte in text:
            if state is None:
                return False
            state = state.step(byte)
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
            self._states.append(self._states[-1])
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
        return self.masks.mask(self._states[-1])

    def forced(self) -> bytes:
        """The bytes that must come next whatever is chosen later; nothing where there is a choice.

        Bytes are forced more often than tokens: which tokens spell them is the tokenizer's choice.
        """
        found = bytearray()
        state: State | None = None if self.is_ended else self._states[-1]
        while state is not None and not state.complete and len(found) < FORCED_LIMIT:
            first = state.first()
            if first.bit_count() != 1:
                break
            found.append(first.bit_length() - 1)
            state = state.step(found[-1])
        return bytes(found)
