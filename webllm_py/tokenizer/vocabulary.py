"""Token ids, the text they are written as, and the bytes they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.added_tokens import AddedToken

__all__ = [
    "BYTE_TOKENS",
    "CONTINUATION",
    "Vocabulary",
    "byte_token_ids",
    "piece_to_bytes",
    "unique_ids",
    "word_bytes",
]

CONTINUATION = "##"
"""What tokens begin with that go on a word of WordPiece's."""
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))

_BYTE_TOKEN = re.compile("<0x([0-9A-F]{2})>")
_MOST_IDS = 1 << 22  # what an id may not reach; the largest vocabularies have some 260,000


class Vocabulary:
    """All tokens of a tokenizer, the model's and the added ones.

    Args:
        ids: the model's tokens.
        to_bytes: what a model's token stands for.
        added: tokens that are matched in the text before the model sees it.
        literal: added tokens that stand for their own text, not for ``to_bytes`` of it.

    Raises:
        TokenizerError: two tokens share an id, a token has two, an id is negative or absurdly
            large, or a text is not valid Unicode.
    """

    def __init__(
        self,
        ids: Mapping[str, int],
        to_bytes: Callable[[str], bytes],
        added: Iterable[AddedToken],
        literal: Callable[[AddedToken], bool],
    ):
        added = list(added)
        _check_texts([*ids, *(token.text for token in added)])
        self._ids = ids
        self._to_bytes = to_bytes
        self._texts = _by_id(ids)
        added_ids = [token.id for token in added]
        _check_range(added_ids)
        self._texts += [None] * (max(added_ids, default=-1) + 1 - len(self._texts))
        self._added_ids: dict[str, int] = {}
        for token in added:
            self._add(token)
        self._literal = frozenset(token.id for token in added if literal(token))
        self._bytes: dict[int, bytes] = {}  # what was asked for

    def _add(self, token: AddedToken) -> None:
        there = self._texts[token.id]
        elsewhere = self.token_id(token.text)
        if there not in (None, token.text) or elsewhere not in (None, token.id):
            raise TokenizerError(
                f"the tokenizer's files contradict each other: {token.text!r} is to be token "
                f"{token.id}, but that is {there!r}, and {token.text!r} is token {elsewhere}"
            )
        self._texts[token.id] = token.text
        self._added_ids[token.text] = token.id

    def __len__(self) -> int:
        """The largest id + 1."""
        return len(self._texts)

    @property
    def own(self) -> int:
        """The largest id of the model's tokens, those that are not added, + 1."""
        return max(self._ids.values(), default=-1) + 1

    def fit(self, size: int) -> None:
        """Know the ids below ``size``, no less than ``own``, and no others; new ones stand for
        nothing."""
        self._added_ids = {text: i for text, i in self._added_ids.items() if i < size}
        del self._texts[size:]
        self._texts += [None] * (size - len(self._texts))

    def token_id(self, text: str) -> int | None:
        """The id of the token that is written so."""
        added = self._added_ids.get(text)
        return self._ids.get(text) if added is None else added

    def token_bytes(self, token_id: int) -> bytes:
        """What a token stands for; nothing for an id that the definition leaves out.

        Raises:
            TokenizerError: there is no such id.
        """
        known = self._bytes.get(token_id)
        if known is None:
            known = self._bytes[token_id] = self._stands_for(token_id)
        return known

    def _stands_for(self, token_id: int) -> bytes:
        if not 0 <= token_id < len(self._texts):
            raise TokenizerError(
                f"there is no token {token_id}: ids run from 0 to {len(self._texts) - 1}"
            )
        text = self._texts[token_id]
        if text is None:
            return b""
        return text.encode() if token_id in self._literal else self._to_bytes(text)


def _by_id(ids: Mapping[str, int]) -> list[str | None]:
    """The tokens in the order of their ids, None where there is none."""
    numbers = [*ids.values()]
    if numbers == [*range(len(numbers))]:  # as most are written: nothing is to be looked up
        return [*ids]
    _check_range(numbers)
    by_id = dict(zip(numbers, ids, strict=True))
    if len(by_id) < len(ids):
        raise TokenizerError("the tokenizer's vocabulary gives one id to two tokens")
    return list(map(by_id.get, range(max(numbers, default=-1) + 1)))


def _check_texts(texts: list[str]) -> None:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise TokenizerError("a token of the vocabulary is not valid Unicode") from None


def _check_range(ids: list[int]) -> None:
    if ids and not 0 <= min(ids) <= max(ids) < _MOST_IDS:
        raise TokenizerError(
            f"the tokenizer's ids run from {min(ids)} to {max(ids)}; "
            f"they must lie between 0 and {_MOST_IDS - 1}"
        )


def piece_to_bytes(piece: str) -> bytes:
    """The bytes of a SentencePiece token: "▁" is a space, "<0x0A>" is a byte."""
    byte = _BYTE_TOKEN.fullmatch(piece)
    return bytes([int(byte[1], 16)]) if byte else piece.replace("▁", " ").encode()


def word_bytes(prefix: str, piece: str) -> bytes:
    """The bytes of a WordPiece token: a new word, with a space before it, unless it has the prefix
    of those that go on one."""
    if prefix and piece.startswith(prefix):
        return piece.removeprefix(prefix).encode()
    return b" " + piece.encode()


def byte_token_ids(ids: Mapping[str, int]) -> list[int]:
    """The ids of the 256 byte tokens; empty where the vocabulary has not all of them."""
    if not all(token in ids for token in BYTE_TOKENS):
        return []
    return [ids[token] for token in BYTE_TOKENS]


def unique_ids(pieces: Sequence[str]) -> dict[str, int]:
    """Ids by piece.

    Raises:
        TokenizerError: a piece occurs twice.
    """
    ids = dict(zip(pieces, range(len(pieces)), strict=True))
    if len(ids) < len(pieces):
        twice = next(piece for index, piece in enumerate(pieces) if ids[piece] != index)
        raise TokenizerError(f"the tokenizer's vocabulary holds {twice!r} twice")
    return ids
