"""The steps of tokenizer.json; expected pieces and ids are those of tokenizers 0.23."""

from __future__ import annotations

from typing import Any

import definitions
import pytest

from webllm_py.errors import TokenizerError, UnsupportedModelError
from webllm_py.tokenizer import Tokenizer, from_files
from webllm_py.tokenizer.json_results import read_post_processor
from webllm_py.tokenizer.json_steps import read_normalizer, read_pre_tokenizer
from webllm_py.tokenizer.pretokenizers import sequence

TEXT = " ab  12 c3,d!! \n e"


def split_on_white_space(behavior: str, *, invert: bool = False) -> dict[str, Any]:
    pattern = {"Regex": "\\s"}
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def metaspace(scheme: str, *, split: bool) -> dict[str, Any]:
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


MARKED = ["▁ab", "▁", "▁12", "▁c3,d!!", "▁\n", "▁e"]


@pytest.mark.parametrize(
    ("spec", "pieces"),
    [
        (
            {"type": "ByteLevel", "add_prefix_space": True},
            [" ab", " ", " 12", " c", "3", ",", "d", "!!", " \n", " e"],
        ),
        ({"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}, [TEXT]),
        ({"type": "Whitespace"}, ["ab", "12", "c3", ",", "d", "!!", "e"]),
        ({"type": "WhitespaceSplit"}, ["ab", "12", "c3,d!!", "e"]),
        (
            {"type": "Digits", "individual_digits": True},
            [" ab  ", "1", "2", " c", "3", ",d!! \n e"],
        ),
        ({"type": "Digits"}, [" ab  ", "12", " c", "3", ",d!! \n e"]),
        ({"type": "Punctuation"}, [" ab  12 c3", ",", "d", "!", "!", " \n e"]),
        (
            {"type": "Punctuation", "behavior": "Contiguous"},
            [" ab  12 c3", ",", "d", "!!", " \n e"],
        ),
        ({"type": "Punctuation", "behavior": "Removed"}, [" ab  12 c3", "d", " \n e"]),
        ({"type": "CharDelimiterSplit", "delimiter": "c"}, [" ab  12 ", "3,d!! \n e"]),
        (metaspace("first", split=True), MARKED),
        (metaspace("always", split=False), ["".join(MARKED)]),
        (metaspace("never", split=True), MARKED),
        (split_on_white_space("Removed"), ["ab", "12", "c3,d!!", "e"]),
        (split_on_white_space("Removed", invert=True), [" ", " ", " ", " ", " ", "\n", " "]),
        (
            split_on_white_space("Isolated"),
            [" ", "ab", " ", " ", "12", " ", "c3,d!!", " ", "\n", " ", "e"],
        ),
        (
            split_on_white_space("MergedWithPrevious"),
            [" ", "ab ", " ", "12 ", "c3,d!! ", "\n", " ", "e"],
        ),
        (
            split_on_white_space("MergedWithPrevious", invert=True),
            [" ab", " ", " 12", " c3,d!!", " ", "\n", " e"],
        ),
        (
            split_on_white_space("MergedWithNext"),
            [" ab", " ", " 12", " c3,d!!", " ", "\n", " e"],
        ),
        (
            split_on_white_space("MergedWithNext", invert=True),
            [" ", "ab ", " ", "12 ", "c3,d!! ", "\n", " ", "e"],
        ),
        (
            split_on_white_space("Contiguous"),
            [" ", "ab", "  ", "12", " ", "c3,d!!", " \n ", "e"],
        ),
        (
            {"type": "Split", "pattern": {"String": "  "}, "behavior": "Isolated"},
            [" ab", "  ", "12 c3,d!! \n e"],
        ),
        (
            {
                "type": "Sequence",
                "pretokenizers": [{"type": "Digits"}, {"type": "Punctuation"}],
            },
            [" ab  ", "12", " c", "3", ",", "d", "!", "!", " \n e"],
        ),
    ],
)
def test_pre_tokenizers(spec: dict[str, Any], pieces: list[str]) -> None:
    steps, _ = read_pre_tokenizer(spec)
    assert sequence(steps)([TEXT], True) == pieces


def test_steps_behind_the_mapping_to_bytes_see_the_mapped_text() -> None:
    # Falcon's order. The byte 0xB2 of "貝" is written "²", which is a number.
    spec = {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            {"type": "Digits", "individual_digits": False},
        ],
    }
    steps, mapped_last = read_pre_tokenizer(spec)
    assert not mapped_last
    assert sequence(steps)(["a 貝"], True) == ["aĠè", "²", "Ŀ"]


@pytest.mark.parametrize(
    ("scheme", "text", "pieces"),
    [
        ("first", "a<|im_end|>b c", ["▁a", "<|im_end|>", "b", "▁c"]),
        ("always", "a<|im_end|>b c", ["▁a", "<|im_end|>", "▁b", "▁c"]),
        ("never", "a<|im_end|>b c", ["a", "<|im_end|>", "b", "▁c"]),
        ("first", "<|im_end|>b", ["<|im_end|>", "b"]),
        ("first", " a", ["▁a"]),
        ("first", "", []),
    ],
)
def test_where_metaspace_puts_its_sign(scheme: str, text: str, pieces: list[str]) -> None:
    words = ["▁a", "▁b", "▁c", "a", "b", "c"]
    tokens = [*"abc▁", "▁a", "▁b", "▁c"]
    definition = definitions.byte_level_json(
        pre_tokenizer=metaspace(scheme, split=True),
        decoder={"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme},
        post_processor=None,
        added_tokens=[definitions.added("<|im_end|>", 7, special=True)],
        model={
            "type": "BPE",
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [["▁", "a"], ["▁", "b"], ["▁", "c"]],
        },
    )
    tokenizer = from_files(definitions.as_file(definition))
    expected = [tokenizer.token_id(piece) for piece in pieces]
    assert set(pieces) <= {*words, "<|im_end|>"}
    assert tokenizer.encode(text) == expected


@pytest.mark.parametrize(
    ("spec", "text", "expected"),
    [
        ({"type": "NFC"}, "e\u0301ﬁ", "éﬁ"),
        ({"type": "NFD"}, "éﬁ", "e\u0301ﬁ"),
        ({"type": "NFKC"}, "e\u0301ﬁ", "éfi"),
        ({"type": "NFKD"}, "éﬁ", "e\u0301fi"),
        ({"type": "Lowercase"}, "ÀΣΑΣ", "àσασ"),
        ({"type": "NFD"}, "é", "e\u0301"),
        ({"type": "StripAccents"}, "ée\u0301\u0903", "ée"),
        ({"type": "Nmt"}, "a\x0b\tb\u200bc\x7f", "a b c"),
        ({"type": "BertNormalizer"}, "ÀB\x00\xad\u3000中\ufffd", "ab  中 "),
        ({"type": "BertNormalizer", "lowercase": False}, "ÀB\n中", "ÀB  中 "),
        ({"type": "BertNormalizer", "lowercase": False, "strip_accents": True}, "ÀΣ", "AΣ"),
        ({"type": "BertNormalizer", "strip_accents": False}, "İÉ", "i\u0307é"),
        (
            {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False},
            "A\x00\t中",
            "a\x00\t中",
        ),
        ({"type": "Precompiled", "precompiled_charsmap": ""}, "ﬁ", "ﬁ"),
        ({"type": "Strip", "strip_left": True, "strip_right": True}, "\u3000 a b\n", "a b"),
        ({"type": "Strip", "strip_left": False, "strip_right": True}, " a ", " a"),
        ({"type": "Prepend", "prepend": "▁"}, "a", "▁a"),
        ({"type": "Prepend", "prepend": "▁"}, "", ""),
        ({"type": "Replace", "pattern": {"String": "."}, "content": "$0\\1"}, "a.", "a$0\\1"),
        ({"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "_"}, "a \n b", "a_b"),
        (
            {
                "type": "Sequence",
                "normalizers": [
                    {"type": "Prepend", "prepend": "x"},
                    {"type": "Replace", "pattern": {"String": "x"}, "content": "y"},
                ],
            },
            "ax",
            "yay",
        ),
    ],
)
def test_normalizers(spec: dict[str, Any], text: str, expected: str) -> None:
    assert read_normalizer(spec)(text, True) == expected


TEMPLATE_IDS = {name: {"id": name, "ids": [index]} for index, name in enumerate("xyz")}


@pytest.mark.parametrize(
    ("spec", "prefix", "suffix"),
    [
        ({"type": "ByteLevel"}, (), ()),
        ({"type": "RobertaProcessing", "sep": ["</s>", 5], "cls": ["<s>", 4]}, (4,), (5,)),
        ({"type": "BertProcessing", "sep": ["[SEP]", 5], "cls": ["[CLS]", 4]}, (4,), (5,)),
        (
            {
                "type": "Sequence",
                "processors": [
                    {"type": "ByteLevel"},
                    {
                        "type": "TemplateProcessing",
                        "single": [
                            {"SpecialToken": {"id": "x"}},
                            {"SpecialToken": {"id": "y"}},
                            {"Sequence": {"id": "A"}},
                            {"SpecialToken": {"id": "z"}},
                        ],
                        "special_tokens": TEMPLATE_IDS,
                    },
                ],
            },
            (0, 1),
            (2,),
        ),
    ],
)
def test_post_processors(
    spec: dict[str, Any], prefix: tuple[int, ...], suffix: tuple[int, ...]
) -> None:
    assert read_post_processor(spec) == (prefix, suffix)


def spaced(decoder: Any) -> Tokenizer:
    """Tokens with "▁" and byte tokens, under a decoder."""
    tokens = [*"ab", "▁a", "▁▁", "<0xC3>", "<0xA9>"]
    return from_files(
        definitions.as_file(
            definitions.byte_level_json(
                pre_tokenizer=None,
                post_processor=None,
                added_tokens=[],
                decoder=decoder,
                model={
                    "type": "BPE",
                    "vocab": {token: index for index, token in enumerate(tokens)},
                    "merges": [],
                },
            )
        )
    )


REPLACE = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}


@pytest.mark.parametrize(
    ("decoder", "ids", "text"),
    [
        (None, [2, 4], "▁a<0xC3>"),
        ({"type": "Fuse"}, [2, 1], "▁ab"),
        ({"type": "Sequence", "decoders": [REPLACE, {"type": "Fuse"}]}, [2, 2], " a a"),
        (
            {
                "type": "Sequence",
                "decoders": [REPLACE, {"type": "ByteFallback"}, {"type": "Fuse"}, STRIP],
            },
            [3, 4, 5, 2],
            " é a",
        ),
        ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}, [2, 2], "a a"),
        ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"}, [2, 2], " a a"),
        ({"type": "Metaspace", "replacement": "▁", "add_prefix_space": False}, [2, 2], " a a"),
    ],
)
def test_decoders(decoder: Any, ids: list[int], text: str) -> None:
    assert spaced(decoder).decode(ids) == text


@pytest.mark.parametrize(
    ("part", "spec", "named"),
    [
        ("normalizer", {"type": "Other"}, "Other"),
        ("pre_tokenizer", {"type": "UnicodeScripts"}, "UnicodeScripts"),
        ("decoder", {"type": "CTC"}, "CTC"),
        ("decoder", STRIP | {"stop": 1}, "Strip"),
        ("post_processor", {"type": "Other"}, "Other"),
        ("model", {"type": "WordLevel", "vocab": {}}, "WordLevel"),
        ("model", {"vocab": {}, "merges": [], "end_of_word_suffix": "</w>"}, "end_of_word_suffix"),
        ("model", {"vocab": {}, "merges": [], "dropout": 0.1}, "dropout"),
    ],
)
def test_what_is_not_supported_is_named(part: str, spec: dict[str, Any], named: str) -> None:
    files = definitions.as_file(definitions.byte_level_json(**{part: spec}))
    with pytest.raises(UnsupportedModelError, match=named):
        from_files(files)


@pytest.mark.parametrize(
    ("part", "spec", "named"),
    [
        ("pre_tokenizer", {"type": "Split", "pattern": {"Regex": "(?<a>b)"}}, "(?<"),
        ("pre_tokenizer", {"type": "Split", "pattern": {}}, "Regex"),
        ("pre_tokenizer", {"type": "Punctuation", "behavior": "Lost"}, "Lost"),
        ("pre_tokenizer", {"type": "Metaspace", "prepend_scheme": "last"}, "last"),
        ("normalizer", {"type": "Replace", "content": "x"}, "pattern"),
        ("normalizer", {}, "normalizer"),
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, "damaged"),
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "A"}, "Precompiled"),
        ("model", {"type": "Unigram", "vocab": [["a", -1], ["a", -2]]}, "'a' twice"),
        ("model", {"type": "Unigram", "vocab": [["a", "b"]]}, "score"),
        ("model", {"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": 1}, "unk_id"),
        ("model", {"type": "WordPiece", "vocab": {"a": "b"}}, "whole number"),
        ("post_processor", {"type": "TemplateProcessing", "single": [{}]}, "SpecialToken"),
        ("model", {"vocab": {"a": 0}}, "merges"),
        ("model", {"vocab": {"a": 0, "b": 0}, "merges": []}, "one id to two"),
        ("model", {"vocab": {"a": 0, "b": "1"}, "merges": []}, "whole number"),
        ("model", {"vocab": {"a": -1}, "merges": []}, "-1"),
        ("model", {"vocab": {"a": 2**60}, "merges": []}, str(2**60)),
        ("model", {"vocab": {"a": 0}, "merges": ["a b"]}, "'b'"),
        ("model", {"vocab": {"a": 0}, "merges": ["a a"]}, "'aa'"),
        ("model", {"vocab": {"a": 0}, "merges": ["aa"]}, "'aa'"),
        ("model", {"vocab": {"a": 0}, "merges": [["a"]]}, "pair"),
        ("model", {"vocab": {"a": 0}, "merges": [["a", 1]]}, "pair"),
        ("model", {"vocab": {"a": 0}, "merges": ["a a", 1]}, "strings"),
    ],
)
def test_what_is_damaged_is_named(part: str, spec: dict[str, Any], named: str) -> None:
    files = definitions.as_file(
        definitions.byte_level_json(**{"added_tokens": [], "post_processor": None, part: spec})
    )
    with pytest.raises(TokenizerError) as caught:
        from_files(files)
    assert named in str(caught.value)
