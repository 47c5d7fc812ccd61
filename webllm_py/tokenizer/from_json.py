"""Reads tokenizer.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from webllm_py.errors import UnsupportedModelError
from webllm_py.tokenizer.added_tokens import AddedToken
from webllm_py.tokenizer.bpe import BPE
from webllm_py.tokenizer.byte_level import chars_to_bytes
from webllm_py.tokenizer.config import FolderConfig, added_token
from webllm_py.tokenizer.fields import expect, field, optional, read_json, token_ids
from webllm_py.tokenizer.json_results import Decoder, read_decoder, read_post_processor
from webllm_py.tokenizer.json_steps import read_normalizer, read_pre_tokenizer
from webllm_py.tokenizer.merges import from_merges, merged_tokens
from webllm_py.tokenizer.model import Model, unsupported_model
from webllm_py.tokenizer.normalizers import Normalizer
from webllm_py.tokenizer.pretokenizers import PreTokenizer, sequence, split_at_spaces
from webllm_py.tokenizer.tokenizer import Tokenizer
from webllm_py.tokenizer.vocabulary import (
    Vocabulary,
    byte_token_ids,
    piece_to_bytes,
    word_bytes,
)

__all__ = ["read_tokenizer_json"]

_Part = tuple[Model, dict[str, int], PreTokenizer | None]


def read_tokenizer_json(files: Mapping[str, bytes], config: FolderConfig) -> Tokenizer:
    """The tokenizer of a tokenizer.json.

    Raises:
        TokenizerError: the file is damaged.
        UnsupportedModelError: it uses a model or step that this version does not run.
    """
    definition = read_json(files, "tokenizer.json")
    model_spec = field(definition, "model", dict, "tokenizer.json")
    kind = optional(model_spec, "type", str, "BPE", "tokenizer.json: model")
    if kind not in _MODELS:
        raise unsupported_model(kind)

    steps: list[PreTokenizer] = []
    byte_level = False
    if (spec := _part(definition, "pre_tokenizer")) is not None:
        steps, byte_level = read_pre_tokenizer(spec)
    spec = _part(definition, "normalizer")
    normalizer = None if spec is None else read_normalizer(spec)
    spec = _part(definition, "decoder")
    decoder = Decoder(byte_level=byte_level) if spec is None else read_decoder(spec)
    spec = _part(definition, "post_processor")
    prefix, suffix = ((), ()) if spec is None else read_post_processor(spec)

    model, ids, last_step = _MODELS[kind](model_spec, byte_level)
    if last_step is not None:
        steps = [*steps, last_step]

    added = config.added_tokens(_added_tokens(definition), ids)
    vocabulary = Vocabulary(
        ids, _to_bytes(decoder), added, lambda token: token.special or decoder.byte_level
    )
    return Tokenizer(
        model,
        vocabulary,
        [_with_pattern(token, normalizer) for token in added],
        config.special_tokens(vocabulary, prefix=prefix, suffix=suffix),
        normalizer=normalizer,
        pre_tokenizer=sequence(steps) if steps else None,
        drop_leading_space=decoder.drop_leading_space,
    )


def _part(definition: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """One of the steps; None where the definition has none."""
    spec = definition.get(name)
    return None if spec is None else expect(spec, dict, f"tokenizer.json: {name}")


def _added_tokens(definition: Mapping[str, Any]) -> list[AddedToken]:
    where = "tokenizer.json: added_tokens"
    tokens = []
    for spec in optional(definition, "added_tokens", list, [], where):
        spec = expect(spec, dict, where)
        tokens.append(added_token(spec, field(spec, "id", int, where), where))
    return tokens


def _with_pattern(token: AddedToken, normalizer: Normalizer | None) -> AddedToken:
    # A token that is looked for in normalized text looks there as normalizing makes it look.
    if normalizer is None or not token.normalized:
        return token
    return replace(token, pattern=normalizer(token.text, True))


def _read_bpe(spec: Mapping[str, Any], byte_level: bool) -> _Part:
    where = "tokenizer.json: model"
    for name in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if spec.get(name):
            raise UnsupportedModelError(f"the BPE option {name} of tokenizer.json is not supported")
    ids = token_ids(field(spec, "vocab", dict, where), f"{where}: vocab")
    merges = field(spec, "merges", list, where)
    priorities, joiner = from_merges(merges, ids)
    unknown = optional(spec, "unk_token", str, "", where)
    model = BPE(
        ids,
        priorities,
        joiner,
        byte_level=byte_level,
        whole_words=optional(spec, "ignore_merges", bool, False, where),
        byte_ids=byte_token_ids(ids) if optional(spec, "byte_fallback", bool, False, where) else (),
        unknown_id=ids.get(unknown),
        fuse_unknown=optional(spec, "fuse_unk", bool, False, where),
    )
    # Words that are tokens are taken whole, so cutting at spaces must not change what a word is.
    whole_text = byte_level or model.whole_words or "▁" not in ids
    return model, ids, None if whole_text else split_at_spaces(merged_tokens(priorities, joiner))


def _read_other(spec: Mapping[str, Any], byte_level: bool) -> _Part:
    # Not before it is needed: a page starts Python from a snapshot, which it need not be in.
    from webllm_py.tokenizer.json_models import read_unigram, read_wordpiece

    read = read_unigram if spec["type"] == "Unigram" else read_wordpiece
    return *read(spec), None


_MODELS: dict[str, Callable[[Mapping[str, Any], bool], _Part]] = {
    "BPE": _read_bpe,
    "Unigram": _read_other,
    "WordPiece": _read_other,
}


def _to_bytes(decoder: Decoder) -> Callable[[str], bytes]:
    if decoder.byte_level:
        return chars_to_bytes
    if decoder.continuation is not None:
        return partial(word_bytes, decoder.continuation)
    replacements = decoder.replacements
    if decoder.byte_fallback and replacements == (("▁", " "),):
        return piece_to_bytes

    def replaced(piece: str) -> bytes:
        for old, new in replacements:
            piece = piece.replace(old, new)
        return piece_to_bytes(piece) if decoder.byte_fallback else piece.encode()

    return replaced
