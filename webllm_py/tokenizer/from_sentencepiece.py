"""Reads a SentencePiece tokenizer.model (field numbers: sentencepiece_model.proto)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webllm_py.errors import TokenizerError, UnsupportedModelError
from webllm_py.tokenizer import normalizers
from webllm_py.tokenizer.added_tokens import AddedToken
from webllm_py.tokenizer.bpe import BPE
from webllm_py.tokenizer.config import FolderConfig
from webllm_py.tokenizer.merges import by_score
from webllm_py.tokenizer.model import Model, unsupported_model
from webllm_py.tokenizer.normalizers import Normalizer
from webllm_py.tokenizer.pretokenizers import Split, split_at_spaces
from webllm_py.tokenizer.protobuf import fields
from webllm_py.tokenizer.tokenizer import Tokenizer
from webllm_py.tokenizer.vocabulary import (
    Vocabulary,
    byte_token_ids,
    piece_to_bytes,
    unique_ids,
)

__all__ = [
    "BYTE",
    "CONTROL",
    "NORMAL",
    "UNKNOWN",
    "USER_DEFINED",
    "read_sentencepiece",
    "sentencepiece_bpe",
]

# ModelProto.SentencePiece.Type; GGUF's token types are the same numbers.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, _UNUSED, BYTE = 1, 2, 3, 4, 5, 6

UNIGRAM_MODEL, BPE_MODEL = 1, 2
_OTHER_MODELS = {3: "word", 4: "character"}


@dataclass
class _Definition:
    pieces: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    # TrainerSpec; defaults as in the proto
    model_type: int = 1
    space_is_suffix: bool = False
    ids: dict[str, int] = field(default_factory=lambda: {"unk": 0, "bos": 1, "eos": 2})
    # NormalizerSpec
    char_map: bytes = b""
    add_prefix: bool = True
    collapse_spaces: bool = True
    escape_spaces: bool = True


def read_sentencepiece(data: bytes, config: FolderConfig) -> Tokenizer:
    """The tokenizer of a SentencePiece model file.

    Raises:
        TokenizerError: the file is damaged.
        UnsupportedModelError: it is neither a BPE nor a Unigram model, or treats spaces in a way
            that is not supported.
    """
    definition = _read_definition(memoryview(data))
    _check_supported(definition)
    ids = unique_ids(definition.pieces)
    is_bpe = definition.model_type == BPE_MODEL
    scored = (ids, definition.scores, definition.types, definition.ids["unk"])
    model, split = sentencepiece_bpe(*scored) if is_bpe else (_unigram(*scored), None)
    added = config.added_tokens(_added_tokens(definition), ids)
    vocabulary = Vocabulary(ids, piece_to_bytes, added, lambda token: token.special)
    bos, eos = (
        token_id if 0 <= (token_id := definition.ids[role]) < len(ids) else None
        for role in ("bos", "eos")
    )
    return Tokenizer(
        model,
        vocabulary,
        added,
        config.special_tokens(vocabulary, bos=bos, eos=eos, add_bos=is_bpe or None),
        normalizer=_normalizer(definition, config),
        pre_tokenizer=split,
        drop_leading_space=definition.add_prefix,
    )


def sentencepiece_bpe(
    ids: Mapping[str, int], scores: Sequence[float], types: Sequence[int], unknown_id: int | None
) -> tuple[BPE, Split | None]:
    """The model of scored pieces, and a split of the text that it allows.

    Only normal pieces come out of plain text: no text spells a control or byte token.

    Args:
        ids: every piece, in order of id from 0.
        scores, types: by id.
        unknown_id: for characters that no piece and no byte tokens cover.
    """
    normal = {piece: index for piece, index in ids.items() if types[index] == NORMAL}
    table = by_score(list(normal), [scores[index] for index in normal.values()])
    has_bytes = BYTE in types
    model = BPE(
        normal,
        table,
        "",
        byte_ids=byte_token_ids(ids) if has_bytes else (),
        unknown_id=unknown_id,
        fuse_unknown=True,
    )
    return model, split_at_spaces(table) if "▁" in normal else None


def _unigram(*scored: Any) -> Model:
    # Not before it is needed: a page starts Python from a snapshot, which it need not be in.
    from webllm_py.tokenizer.sentencepiece_unigram import sentencepiece_unigram

    return sentencepiece_unigram(*scored)


def _read_definition(data: memoryview) -> _Definition:
    definition = _Definition()
    for number, value in fields(data):
        if number == 1:
            _read_piece(_message(value), definition)
        elif number == 2:
            _read_trainer(_message(value), definition)
        elif number == 3:
            _read_normalizer(_message(value), definition)
    if not definition.pieces:
        raise TokenizerError("tokenizer.model holds no pieces: the file is damaged")
    return definition


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise TokenizerError("tokenizer.model is damaged: a number where a message should be")
    return value


def _number(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise TokenizerError("tokenizer.model is damaged: a message where a number should be")
    # negative ids ("no such token") are written as 64-bit two's complement
    return value - (1 << 64) if value >> 63 else value


def _read_piece(data: memoryview, definition: _Definition) -> None:
    piece, score, kind = "", 0.0, NORMAL
    for number, value in fields(data):
        if number == 1:
            try:
                piece = str(_message(value), "utf-8")
            except UnicodeDecodeError:
                raise TokenizerError("tokenizer.model is damaged: a piece is not UTF-8") from None
        elif number == 2:
            if len(_message(value)) != 4:
                raise TokenizerError("tokenizer.model is damaged: a score is not a float")
            (score,) = struct.unpack("<f", _message(value))
        elif number == 3:
            kind = _number(value)
    if not piece:
        raise TokenizerError("tokenizer.model is damaged: a piece is empty")
    definition.pieces.append(piece)
    definition.scores.append(score)
    definition.types.append(kind)


def _read_trainer(data: memoryview, definition: _Definition) -> None:
    for number, value in fields(data):
        if number == 3:
            definition.model_type = _number(value)
        elif number == 24:
            definition.space_is_suffix = bool(_number(value))
        elif number in (40, 41, 42):
            definition.ids[("unk", "bos", "eos")[number - 40]] = _number(value)


def _read_normalizer(data: memoryview, definition: _Definition) -> None:
    for number, value in fields(data):
        if number == 2:
            definition.char_map = bytes(_message(value))
        elif number == 3:
            definition.add_prefix = bool(_number(value))
        elif number == 4:
            definition.collapse_spaces = bool(_number(value))
        elif number == 5:
            definition.escape_spaces = bool(_number(value))


def _check_supported(definition: _Definition) -> None:
    kind = definition.model_type
    if kind not in (UNIGRAM_MODEL, BPE_MODEL):
        raise unsupported_model(f"SentencePiece {_OTHER_MODELS.get(kind, f'type {kind}')}")
    for is_used, what in (
        (definition.space_is_suffix, "spaces as suffixes (treat_whitespace_as_suffix)"),
        (not definition.escape_spaces, "spaces as they are (escape_whitespaces off)"),
    ):
        if is_used:
            raise UnsupportedModelError(f"tokenizer.model uses {what}, which is not supported")


def _added_tokens(definition: _Definition) -> list[AddedToken]:
    tokens = []
    for index, (piece, kind) in enumerate(zip(definition.pieces, definition.types, strict=True)):
        if kind in (CONTROL, UNKNOWN):
            tokens.append(AddedToken(index, piece, special=True))
        elif kind == USER_DEFINED:
            tokens.append(AddedToken(index, piece, normalized=True, pattern=piece))
    return tokens


def _normalizer(definition: _Definition, config: FolderConfig) -> Normalizer:
    steps: list[Normalizer] = []
    if definition.char_map:
        from webllm_py.tokenizer.charsmap import by_longest_match

        steps.append(by_longest_match(definition.char_map))
    if definition.collapse_spaces:
        steps.append(normalizers.collapse_spaces)
    steps.append(normalizers.replace(" ", "▁"))
    if definition.add_prefix:
        # Llama's tokenizer class puts the space before the text behind every special token, unless
        # its "legacy" is switched off.
        steps.append(normalizers.prepend("▁", only_at_start=config.flag("legacy") is False))
    return normalizers.sequence(steps)
