"""The steps of a tokenizer.json after the model: decoder and post-processor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webllm_py.errors import TokenizerError, UnsupportedModelError
from webllm_py.tokenizer.fields import expect, field, optional
from webllm_py.tokenizer.json_steps import (
    Json,
    members,
    metaspace_sign,
    prepend_scheme,
    read_step,
)
from webllm_py.tokenizer.vocabulary import CONTINUATION

__all__ = ["Decoder", "read_decoder", "read_post_processor"]


@dataclass(frozen=True)
class Decoder:
    """How tokens become text again.

    Attributes:
        byte_level: tokens are written in the byte-level alphabet.
        byte_fallback: "<0x0A>" stands for a byte.
        replacements: what to replace in every token, in order.
        drop_leading_space: a space before the whole text is not part of it.
        continuation: what tokens that go on a word begin with, where the others begin a new one.
    """

    byte_level: bool = False
    byte_fallback: bool = False
    replacements: tuple[tuple[str, str], ...] = ()
    drop_leading_space: bool = False
    continuation: str | None = None


def read_decoder(spec: Json) -> Decoder:
    """The decoder that an object describes."""
    byte_level = byte_fallback = drop_leading_space = False
    continuation: str | None = None
    replacements: list[tuple[str, str]] = []
    for member in _decoder_members(spec):
        kind = field(member, "type", str, "tokenizer.json: decoder")
        match kind:
            case "ByteLevel":
                byte_level = True
            case "ByteFallback":
                byte_fallback = True
            case "Replace":
                pattern = field(member, "pattern", dict, "decoder Replace")
                old = field(pattern, "String", str, "decoder Replace")
                replacements.append((old, field(member, "content", str, "decoder Replace")))
            case "Metaspace":
                replacements.append((metaspace_sign(member), " "))
                drop_leading_space |= prepend_scheme(member) != "never"
            case "Strip":
                drop_leading_space |= _strips_one_space(member)
            case "WordPiece":
                continuation = optional(member, "prefix", str, CONTINUATION, "decoder WordPiece")
                drop_leading_space = True
            case "Fuse":
                pass
            case _:
                raise UnsupportedModelError(
                    f"the decoder {kind!r} of tokenizer.json is not supported"
                )
    replaced = tuple(replacements)
    return Decoder(byte_level, byte_fallback, replaced, drop_leading_space, continuation)


def _decoder_members(spec: Json) -> list[Json]:
    if field(spec, "type", str, "tokenizer.json: decoder") != "Sequence":
        return [spec]
    return [inner for member in members(spec, "decoders") for inner in _decoder_members(member)]


def _strips_one_space(spec: Json) -> bool:
    where = "decoder Strip"
    content = field(spec, "content", str, where)
    start, stop = field(spec, "start", int, where), field(spec, "stop", int, where)
    if (content, stop) != (" ", 0) or start not in (0, 1):
        raise UnsupportedModelError(
            f"the decoder Strip of {start} and {stop} times {content!r} is not supported"
        )
    return start == 1


def read_post_processor(spec: Json) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that a post-processor puts before and behind a single text."""
    return read_step("post-processor", spec, _POST_PROCESSORS)


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
    for member in members(spec, "processors"):
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
