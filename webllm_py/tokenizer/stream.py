"""Incremental decoding: token ids in, text out, whole characters only."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable

__all__ = ["StreamDecoder"]


class StreamDecoder:
    """Decodes ids as they come.

    The texts of all ``push`` calls and of ``flush`` together are what ``Tokenizer.decode`` gives
    for all ids. Only the bytes of a character that is not yet complete are held back.
    """

    def __init__(
        self,
        token_bytes: Callable[[int], bytes],
        *,
        hidden: frozenset[int],
        drop_leading_space: bool,
    ):
        self._token_bytes = token_bytes
        self._hidden = hidden
        self._drop_leading_space = drop_leading_space
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, id: int) -> str:
        """The text that this token completes; often its own, empty in the middle of a character.

        Raises:
            TokenizerError: the id is not in the vocabulary.
        """
        return self.push_all((id,))

    def push_all(self, ids: Iterable[int]) -> str:
        """The text that these tokens complete, as ``push`` of one after the other."""
        hidden, token_bytes = self._hidden, self._token_bytes
        data = b"".join([b"" if id in hidden else token_bytes(id) for id in ids])
        return self._shown(self._utf8.decode(data))

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that was never completed."""
        return self._shown(self._utf8.decode(b"", final=True))

    def _shown(self, text: str) -> str:
        if text and self._drop_leading_space:
            self._drop_leading_space = False
            return text.removeprefix(" ")
        return text
