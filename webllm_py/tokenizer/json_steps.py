"""The steps of a tokenizer.json before the model: normalizer and pre-tokenizer.

Each part is a tree of objects with a "type"; a type that is not known is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, cast

from webllm_py.errors import TokenizerError, UnsupportedModelError
from webllm_py.tokenizer import normalizers, pretokenizers
from webllm_py.tokenizer.charset import CharSet
from webllm_py.tokenizer.fields import expect, field, optional
from webllm_py.tokenizer.normalizers import Normalizer
from webllm_py.tokenizer.patterns import PROFILES
from webllm_py.tokenizer.pretokenizers import BEHAVIORS, Behavior, Metaspace, PreTokenizer, Split
from webllm_py.tokenizer.regex import compile_pattern
from webllm_py.tokenizer.unicode import WHITE_SPACE, word_set

__all__ = [
    "Json",
    "members",
    "metaspace_sign",
    "prepend_scheme",
    "read_normalizer",
    "read_pre_tokenizer",
    "read_step",
]

Json = Mapping[str, Any]
T = TypeVar("T")


def read_step(part: str, spec: Json, readers: Mapping[str, Callable[[Json], T]]) -> T:
    """What one of the readers makes of an object, by its "type".

    Raises:
        UnsupportedModelError: there is no reader for the type.
    """
    kind = field(spec, "type", str, f"tokenizer.json: {part}")
    if kind not in readers:
        raise UnsupportedModelError(
            f"the {part} {kind!r} of tokenizer.json is not supported; supported are: "
            + ", ".join(readers)
        )
    return readers[kind](spec)


def members(spec: Json, name: str) -> list[Json]:
    """The objects of a Sequence."""
    objects = field(spec, name, list, "tokenizer.json: Sequence")
    return [expect(member, dict, f"tokenizer.json: {name}") for member in objects]


def _pattern(spec: Json) -> re.Pattern[str]:
    """{"String": ...} or {"Regex": ...}."""
    pattern = field(spec, "pattern", dict, "tokenizer.json: step")
    if "String" in pattern:
        return re.compile(re.escape(field(pattern, "String", str, "tokenizer.json: pattern")))
    return compile_pattern(field(pattern, "Regex", str, "tokenizer.json: pattern"))


# --- normalizers


def read_normalizer(spec: Json) -> Normalizer:
    """The normalizer that an object describes."""
    return read_step("normalizer", spec, _NORMALIZERS)


def _replace(spec: Json) -> Normalizer:
    content = field(spec, "content", str, "normalizer Replace")
    pattern = field(spec, "pattern", dict, "normalizer Replace")
    if "String" in pattern:
        return normalizers.replace(field(pattern, "String", str, "normalizer Replace"), content)
    return normalizers.replace_pattern(_pattern(spec), content)


def _strip(spec: Json) -> Normalizer:
    return normalizers.strip(
        left=optional(spec, "strip_left", bool, True, "normalizer Strip"),
        right=optional(spec, "strip_right", bool, True, "normalizer Strip"),
    )


def _of_encoders(spec: Json) -> Normalizer:
    # Not before it is needed: a page starts Python from a snapshot, which it need not be in.
    from webllm_py.tokenizer.encoder_steps import NORMALIZERS

    return NORMALIZERS[spec["type"]](spec)


def _bert_pre_tokenizer(spec: Json) -> list[PreTokenizer]:
    from webllm_py.tokenizer.bert import bert_pre_tokenizer

    return [bert_pre_tokenizer()]


_NORMALIZERS: dict[str, Callable[[Json], Normalizer]] = {
    "Sequence": lambda spec: normalizers.sequence(
        [read_normalizer(member) for member in members(spec, "normalizers")]
    ),
    "Prepend": lambda spec: normalizers.prepend(field(spec, "prepend", str, "normalizer Prepend")),
    "Replace": _replace,
    "Strip": _strip,
    "Lowercase": lambda spec: normalizers.lowercase,
    **dict.fromkeys(("StripAccents", "BertNormalizer", "Precompiled", "Nmt"), _of_encoders),
    "NFC": lambda spec: normalizers.unicode_form("NFC"),
    "NFD": lambda spec: normalizers.unicode_form("NFD"),
    "NFKC": lambda spec: normalizers.unicode_form("NFKC"),
    "NFKD": lambda spec: normalizers.unicode_form("NFKD"),
}


# --- pre-tokenizers


def read_pre_tokenizer(spec: Json) -> tuple[list[PreTokenizer], bool]:
    """The steps that an object describes, and whether mapping to bytes comes last.

    That mapping is left to the model, which remembers words and so does it once a word.
    """
    steps = read_step("pre-tokenizer", spec, _PRE_TOKENIZERS)
    if steps and steps[-1] is pretokenizers.map_to_bytes:
        return steps[:-1], True
    return steps, False


def _split_on(pattern: str, behavior: Behavior = "Isolated") -> list[PreTokenizer]:
    return [Split(compile_pattern(pattern), behavior)]


def _pre_tokenizer_sequence(spec: Json) -> list[PreTokenizer]:
    steps: list[PreTokenizer] = []
    for member in members(spec, "pretokenizers"):
        steps += read_step("pre-tokenizer", member, _PRE_TOKENIZERS)
    return steps


def _byte_level(spec: Json) -> list[PreTokenizer]:
    steps: list[PreTokenizer] = []
    if optional(spec, "add_prefix_space", bool, True, "pre-tokenizer ByteLevel"):
        steps.append(pretokenizers.add_prefix_space)
    if optional(spec, "use_regex", bool, True, "pre-tokenizer ByteLevel"):
        steps += _split_on(PROFILES["gpt-2"].patterns[0])
    return [*steps, pretokenizers.map_to_bytes]


def _behavior(spec: Json, where: str) -> Behavior:
    behavior = optional(spec, "behavior", str, "Isolated", where)
    if behavior not in BEHAVIORS:
        raise TokenizerError(f"{where}: the behavior {behavior!r} is not one of {BEHAVIORS}")
    return behavior


def _split(spec: Json) -> list[PreTokenizer]:
    where = "pre-tokenizer Split"
    invert = optional(spec, "invert", bool, False, where)
    return [Split(_pattern(spec), _behavior(spec, where), invert)]


def _metaspace(spec: Json) -> list[PreTokenizer]:
    where = "pre-tokenizer Metaspace"
    split = optional(spec, "split", bool, True, where)
    return [Metaspace(metaspace_sign(spec), prepend_scheme(spec), split)]


def metaspace_sign(spec: Json) -> str:
    """What a Metaspace writes for a space."""
    return optional(spec, "replacement", str, "▁", "Metaspace")


def prepend_scheme(spec: Json) -> Literal["first", "always", "never"]:
    """Where a Metaspace puts its sign before a text."""
    scheme = optional(spec, "prepend_scheme", str, "always", "Metaspace")
    if scheme not in ("first", "always", "never"):
        raise TokenizerError(f"Metaspace: the prepend_scheme {scheme!r} is not known")
    # the flag's older name
    if not optional(spec, "add_prefix_space", bool, True, "Metaspace"):
        return "never"
    return cast(Literal["first", "always", "never"], scheme)


def _digits(spec: Json) -> list[PreTokenizer]:
    alone = optional(spec, "individual_digits", bool, False, "pre-tokenizer Digits")
    return _split_on(r"\p{N}" if alone else r"\p{N}+")


def _words_and_signs() -> re.Pattern[str]:
    word = word_set()
    sign = ~(word | CharSet.of(WHITE_SPACE))
    return re.compile(f"{word.pattern()}+|{sign.pattern()}+")


def _delimiter(spec: Json) -> list[PreTokenizer]:
    delimiter = field(spec, "delimiter", str, "pre-tokenizer CharDelimiterSplit")
    return [Split(re.compile(re.escape(delimiter)), "Removed")]


_PRE_TOKENIZERS: dict[str, Callable[[Json], list[PreTokenizer]]] = {
    "Sequence": _pre_tokenizer_sequence,
    "ByteLevel": _byte_level,
    "Split": _split,
    "Metaspace": _metaspace,
    "Digits": _digits,
    "Punctuation": lambda spec: _split_on(
        r"[!-/:-@\[-`{-~\p{P}]", _behavior(spec, "pre-tokenizer Punctuation")
    ),
    "Whitespace": lambda spec: [Split(_words_and_signs(), "Removed", invert=True)],
    "BertPreTokenizer": _bert_pre_tokenizer,
    "WhitespaceSplit": lambda spec: _split_on(r"\s+", "Removed"),
    "CharDelimiterSplit": _delimiter,
}
