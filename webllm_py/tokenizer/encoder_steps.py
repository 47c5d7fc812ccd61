"""Normalizers of a tokenizer.json that the tokenizers of text encoders have."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer import normalizers
from webllm_py.tokenizer.bert import bert_normalizer, strip_accents
from webllm_py.tokenizer.charsmap import by_grapheme
from webllm_py.tokenizer.fields import optional
from webllm_py.tokenizer.json_steps import Json
from webllm_py.tokenizer.normalizers import Normalizer

__all__ = ["NORMALIZERS"]


def _bert(spec: Json) -> Normalizer:
    where = "normalizer BertNormalizer"
    lower = optional(spec, "lowercase", bool, True, where)
    return bert_normalizer(
        clean=optional(spec, "clean_text", bool, True, where),
        part_chinese=optional(spec, "handle_chinese_chars", bool, True, where),
        strip=optional(spec, "strip_accents", bool, lower, where),
        lower=lower,
    )


def _precompiled(spec: Json) -> Normalizer:
    where = "normalizer Precompiled"
    try:
        data = binascii.a2b_base64(optional(spec, "precompiled_charsmap", str, "", where))
    except ValueError as error:
        raise TokenizerError(f"{where}: {error}") from None
    return by_grapheme(data) if data else normalizers.sequence([])


# SentencePiece's rules "nmt": control characters go, separators and joiners are spaces.
_CONTROLS = (*range(0x01, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F)
_SEPARATORS = (0x09, 0x0A, 0x0C, 0x0D, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x2029, 0x2581)
_PLAIN_SPACES = {
    **dict.fromkeys(_CONTROLS),
    **dict.fromkeys((*_SEPARATORS, 0xFEFF, 0xFFFD), " "),
}


def plain_spaces(text: str, at_start: bool) -> str:
    """tokenizer.json's Nmt."""
    return text.translate(_PLAIN_SPACES)


NORMALIZERS: Mapping[str, Callable[[Json], Normalizer]] = {
    "BertNormalizer": _bert,
    "Nmt": lambda spec: plain_spaces,
    "Precompiled": _precompiled,
    "StripAccents": lambda spec: strip_accents,
}
