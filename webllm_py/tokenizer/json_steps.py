"""The steps of a tokenizer.json: normalizer, pre-tokenizer, decoder, post-processor.

Each part is a tree of objects with a "type"; a type that is not known is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
    "Decoder",
    "read_decoder",
    "read_normalizer",
    "read_post_processor",
    "read_pre_tokenizer",
]

Json = Mapping[str, Any]
T = TypeVar("T")


def _read(part: str, spec: Json, readers: Mapping[str, Callable[[Json], T]]) -> T:
    kind = field(spec, "type", str, f"tokenizer.json: {part}")
    if kind not in readers:
        raise UnsupportedModelError(
            f"the {part} {kind!r} of tokenizer.json is not supported; supported are: "
            + ", ".join(readers)
        )
    return readers[kind](spec)


def _members(spec: Json, name: str) -> list[Json]:
    members = field(spec, name, list, "tokenizer.json: Sequence")
    return [expect(member, dict, f"tokenizer.json: {name}") for member in members]


def _pattern(spec: Json) -> re.Pattern[str]:
    """{"String": ...} or {"Regex": ...}."""
    pattern = field(spec, "pattern", dict, "tokenizer.json: step")
    if "String" in pattern:
        return re.compile(re.escape(field(pattern, "String", str, "tokenizer.json: pattern")))
    return compile_pattern(field(pattern, "Regex", str, "tokenizer.json: pattern"))


# --- normalizers


def read_normalizer(spec: Json) -> Normalizer:
    """The normalizer that an object describes."""
    return _read("normalizer", spec, _NORMALIZERS)


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


_NORMALIZERS: dict[str, Callable[[Json], Normalizer]] = {
    "Sequence": lambda spec: normalizers.sequence(
        [read_normalizer(member) for member in _members(spec, "normalizers")]
    ),
    "Prepend": lambda spec: normalizers.prepend(field(spec, "prepend", str, "normalizer Prepend")),
    "Replace": _replace,
    "Strip": _strip,
    "Lowercase": lambda spec: normalizers.lowercase,
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
    steps = _read("pre-tokenizer", spec, _PRE_TOKENIZERS)
    if steps and steps[-1] is pretokenizers.map_to_bytes:
        return steps[:-1], True
    return steps, False


def _split_on(
    pattern: str, behavior: Behavior = "Isolated", *, invert: bool = False
) -> list[PreTokenizer]:
    return [Split(compile_pattern(pattern), behavior, invert)]


def _pre_tokenizer_sequence(spec: Json) -> list[PreTokenizer]:
    steps: list[PreTokenizer] = []
    for member in _members(spec, "pretokenizers"):
        steps += _read("pre-tokenizer", member, _PRE_TOKENIZERS)
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
    return [Metaspace(_metaspace_sign(spec), _prepend_scheme(spec), split)]


def _metaspace_sign(spec: Json) -> str:
    return optional(spec, "replacement", str, "▁", "Metaspace")


def _prepend_scheme(spec: Json) -> Literal["first", "always", "never"]:
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
    "WhitespaceSplit": lambda spec: _split_on(r"\s+", "Removed"),
    "CharDelimiterSplit": _delimiter,
}


# --- decoders


@dataclass(frozen=True)
class Decoder:
    """How tokens become text again.

    Attributes:
        byte_level: tokens are written in the byte-level alphabet.
        byte_fallback: "<0x0A>" stands for a byte.
        replacements: what to replace in every token, in order.
        drop_leading_space: a space before the whole text is not part of it.
    """

    byte_level: bool = False
    byte_fallback: bool = False
    replacements: tuple[tuple[str, str], ...] = ()
    drop_leading_space: bool = False


def read_decoder(spec: Json) -> Decoder:
    """The decoder that an object describes."""
    byte_level = byte_fallback = drop_leading_space = False
    replacements: list[tuple[str, str]] = []
    for member in _decoder_members(spec):
        kind = field(member, "type", str, "tokenizer.json: decoder")
        if kind == "ByteLevel":
            byte_level = True
        elif kind == "ByteFallback":
            byte_fallback = True
        elif kind == "Replace":
            pattern = field(member, "pattern", dict, "decoder Replace")
            old = field(pattern, "String", str, "decoder Replace")
            replacements.append((old, field(member, "content", str, "decoder Replace")))
        elif kind == "Metaspace":
            replacements.append((_metaspace_sign(member), " "))
            drop_leading_space |= _prepend_scheme(member) != "never"
        elif kind == "Strip":
            drop_leading_space |= _strips_one_space(member)
        elif kind != "Fuse":
            raise UnsupportedModelError(f"the decoder {kind!r} of tokenizer.json is not supported")
    return Decoder(byte_level, byte_fallback, tuple(replacements), drop_leading_space)


def _decoder_members(spec: Json) -> list[Json]:
    if field(spec, "type", str, "tokenizer.json: decoder") != "Sequence":
        return [spec]
    return [inner for member in _members(spec, "decoders") for inner in _decoder_members(member)]


def _strips_one_space(spec: Json) -> bool:
    where = "decoder Strip"
    content = field(spec, "content", str, where)
    start, stop = field(spec, "start", int, where), field(spec, "stop", int, where)
    if (content, stop) != (" ", 0) or start not in (0, 1):
        raise UnsupportedModelError(
            f"the decoder Strip of {start} and {stop} times {content!r} is not supported"
        )
    return start == 1


# --- post-processors


def read_post_processor(spec: Json) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that a post-processor puts before and behind a single text."""
    return _read("post-processor", spec, _POST_PROCESSORS)


def _template(spec: Json) -> tuple[tuple[int, ...], tuple[int, ...]]:
    where = "post-processor TemplateProcessing"
    specials = optional(spec, "special_tokens", dict, {}, where)
    prefix: list[int] = []
    suffix: list[int] = []
    side = prefix
    for item in field(spec, "single", list, where):
        item = expect(item, dict, where)
        if "Sequence" in item:
            side = suffix
            continue
        name = field(field(item, "SpecialToken", dict, where), "id", str, where)
        ids = field(field(specials, name, dict, where), "ids", list, where)
        side += [expect(token_id, int, where) for token_id in ids]
    return tuple(prefix), tuple(suffix)


def _class_and_separator(spec: Json) -> tuple[tuple[int, ...], tuple[int, ...]]:
    ids = []
    for name in ("cls", "sep"):
        pair = field(spec, name, list, "post-processor")
        if len(pair) != 2:
            raise TokenizerError(f"post-processor: {name} must be a token and its id")
        ids.append(expect(pair[1], int, f"post-processor: {name}"))
    return (ids[0],), (ids[1],)


def _post_processor_sequence(spec: Json) -> tuple[tuple[int, ...], tuple[int, ...]]:
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    for member in _members(spec, "processors"):
        before, behind = read_post_processor(member)
        prefix, suffix = before + prefix, suffix + behind
    return prefix, suffix


_POST_PROCESSORS: dict[str, Callable[[Json], tuple[tuple[int, ...], tuple[int, ...]]]] = {
    "Sequence": _post_processor_sequence,
    "ByteLevel": lambda spec: ((), ()),  # changes offsets only
    "TemplateProcessing": _template,
    "RobertaProcessing": _class_and_separator,
    "BertProcessing": _class_and_separator,
}
