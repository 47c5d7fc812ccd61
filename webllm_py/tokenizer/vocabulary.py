"""Token ids, the text they are written as, and the bytes they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.added_tokens import AddedToken

__all__ = ["BYTE_TOKENS", "Vocabulary", "byte_token_ids", "piece_to_bytes"]

BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))

_BYTE_TOKEN = re.compile("<0x([0-9A-F]{2})>")
_MOST_IDS = 1 << 24  # what an id may not reach; the largest vocabularies have some 260,000


class Vocabulary:
    """All tokens of a tokenizer, the model's and the added ones.

    Args:
        ids: the model's tokens.
        to_bytes: what a model's token stands for.
        added: tokens that are matched in the text before the model sees it.
        literal: added tokens that stand for their own text, not for ``to_bytes`` of it.

    Raises:
        TokenizerError: two tokens share an id, or an id is negative or absurdly large.
    """

    def __init__(
        self,
        ids: Mapping[str, int],
        to_bytes: Callable[[str], bytes],
        added: Iterable[AddedToken],
        literal: Callable[[AddedToken], bool],
    ):
        added = list(added)
        self._check(ids, added)
        self._to_bytes = to_bytes
        self._literal = frozenset(token.id for token in added if literal(token))
        self._ids = ids
        self._added_ids = {token.text: token.id for token in added}
        largest = max([*ids.values(), *self._added_ids.values()], default=-1)
        self._texts: list[str | None] = [None] * (largest + 1)
        for text, token_id in ids.items():
            self._texts[token_id] = text
        for token in added:
            self._texts[token.id] = token.text

    @staticmethod
    def _check(ids: Mapping[str, int], added: list[AddedToken]) -> None:
        if len(set(ids.values())) != len(ids):
            raise TokenizerError("the tokenizer's vocabulary gives one id to two tokens")
        seen: dict[int, str] = {}
        for token in added:
            if seen.setdefault(token.id, token.text) != token.text:
                raise TokenizerError(
                    f"the added tokens {seen[token.id]!r} and {token.text!r} share id {token.id}"
                )
        every = [*ids.values(), *seen]
        if every and not 0 <= min(every) <= max(every) < _MOST_IDS:
            raise TokenizerError(
                f"the tokenizer's ids run from {min(every)} to {max(every)}; "
                f"they must lie between 0 and {_MOST_IDS - 1}"
            )

    def __len__(self) -> int:
        """The largest id + 1."""
        return len(self._texts)

    def token_id(self, text: str) -> int | None:
        """The id of the token that is written so."""
        added = self._added_ids.get(text)
        return self._ids.get(text) if added is None else added

    def token_bytes(self, token_id: int) -> bytes:
        """What a token stands for; nothing for an id that the definition leaves out.

        Raises:
            TokenizerError: there is no such id.
        """
        if not 0 <= token_id < len(self._texts):
            raise TokenizerError(
                f"there is no token {token_id}: ids run from 0 to {len(self._texts) - 1}"
            )
        text = self._texts[token_id]
        if text is None:
            return b""
        return text.encode() if token_id in self._literal else self._to_bytes(text)


def piece_to_bytes(piece: str) -> bytes:
    """The bytes of a SentencePiece token: "▁" is a space, "<0x0A>" is a byte."""
    byte = _BYTE_TOKEN.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace("▁", " ").encode()


def byte_token_ids(ids: Mapping[str, int]) -> list[int]:
    """The ids of the 256 byte tokens; empty where the vocabulary has not all of them."""
    if not all(token in ids for token in BYTE_TOKENS):
        return []
    return [ids[token] for token in BYTE_TOKENS]
