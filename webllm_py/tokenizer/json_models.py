"""The models of a tokenizer.json that are not BPE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.fields import field, optional, token_ids
from webllm_py.tokenizer.unigram import Unigram
from webllm_py.tokenizer.vocabulary import CONTINUATION, byte_token_ids, unique_ids
from webllm_py.tokenizer.wordpiece import MOST_CHARS, WordPiece

__all__ = ["read_unigram", "read_wordpiece"]


def read_wordpiece(spec: Mapping[str, Any]) -> tuple[WordPiece, dict[str, int]]:
    """The WordPiece model that an object describes, and its tokens."""
    where = "tokenizer.json: model"
    ids = token_ids(field(spec, "vocab", dict, where), f"{where}: vocab")
    model = WordPiece(
        ids,
        ids.get(optional(spec, "unk_token", str, "[UNK]", where)),
        optional(spec, "continuing_subword_prefix", str, CONTINUATION, where),
        optional(spec, "max_input_chars_per_word", int, MOST_CHARS, where),
    )
    return model, ids


def read_unigram(spec: Mapping[str, Any]) -> tuple[Unigram, dict[str, int]]:
    """The Unigram model that an object describes, and its tokens."""
    where = "tokenizer.json: model"
    pairs = field(spec, "vocab", list, where)
    if not all(isinstance(pair, list) and list(map(type, pair)) == [str, float] for pair in pairs):
        pairs = [_scored(pair, where) for pair in pairs]
    ids = unique_ids([piece for piece, _ in pairs])
    unknown = optional(spec, "unk_id", int, -1, where)
    if unknown >= len(ids):
        raise TokenizerError(f"{where}: unk_id is {unknown}, but there are {len(ids)} tokens")
    model = Unigram(
        dict(pairs),
        ids,
        None if unknown < 0 else unknown,
        byte_token_ids(ids) if optional(spec, "byte_fallback", bool, False, where) else (),
        min((score for _, score in pairs), default=0.0),
    )
    return model, ids


def _scored(pair: Any, where: str) -> tuple[str, float]:
    """A piece and its score, which JSON may write as a whole number."""
    match pair:
        case [str(piece), float() | int() as score] if not isinstance(score, bool):
            return piece, float(score)
    raise TokenizerError(f"{where}: vocab must hold pairs of a token and its score, not {pair!r}")
