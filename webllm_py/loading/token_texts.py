"""What grammars know of a vocabulary: the bytes of each token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

from webllm_py.control_bytes import CONTROL_BYTES
from webllm_py.tokenizer import Tokenizer

__all__ = ["TokenTexts"]


class TokenTexts(Sequence[bytes]):
    """Found when they are asked for: a text that is only verified asks for its own tokens.

    Control tokens have no bytes, but those that mean something in an answer, each of which is one
    byte that no text has.

    Args:
        size: how many tokens the model embeds.
        controls: the bytes of these, see ``webllm_py.control_bytes``.
    """

    def __init__(self, tokenizer: Tokenizer, size: int, controls: Mapping[int, int]):
        self._tokenizer = tokenizer
        self._size = size
        self._hidden = tokenizer.special_ids | tokenizer.end_ids
        self._found = {token: bytes([byte]) for token, byte in controls.items()}

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, token: int) -> bytes: ...
    @overload
    def __getitem__(self, token: slice) -> list[bytes]: ...
    def __getitem__(self, token: int | slice) -> bytes | list[bytes]:
        if isinstance(token, slice):
            return [self[i] for i in range(*token.indices(self._size))]
        found = self._found.get(token)
        if found is None:
            if not 0 <= token < self._size:
                raise IndexError(token)
            found = self._found[token] = self._text(token)
        return found

    def _text(self, token: int) -> bytes:
        if token in self._hidden or token >= self._tokenizer.vocab_size:
            return b""
        text = self._tokenizer.token_bytes(token)
        # A vocabulary may have bytes as tokens that are in no text.
        return b"" if text.translate(None, CONTROL_BYTES) != text else text
