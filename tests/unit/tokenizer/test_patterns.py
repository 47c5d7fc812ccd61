"""Patterns in the standard library's ``re``: exact classes, exact splits, named refusals."""

from __future__ import annotations

import re
import sys
import unicodedata
from itertools import groupby

import pytest

from webllm_py.errors import TokenizerError, UnsupportedModelError
from webllm_py.tokenizer.patterns import PROFILES, profile_named
from webllm_py.tokenizer.pretokenizers import Split
from webllm_py.tokenizer.regex import compile_pattern
from webllm_py.tokenizer.unicode import WHITE_SPACE, property_set

EVERY = "".join(map(chr, range(sys.maxunicode + 1)))
# The planes where characters are, without the ideographs of the third and fourth.
ASSIGNED = EVERY[:0x20000] + EVERY[0xE0000:0xE0200]


def test_categories_are_the_interpreter_s_own() -> None:
    # Over all code points: the blocks that the scan skips must be of one category in this version
    # of Unicode as well.
    found: dict[str, list[tuple[int, int]]] = {}
    start = 0
    for category, run in groupby(map(unicodedata.category, EVERY)):
        end = start + len(list(run))
        found.setdefault(category, []).append((start, end - 1))
        start = end
    assert {name: property_set(name).ranges for name in found} == {
        name: tuple(ranges) for name, ranges in found.items()
    }


@pytest.mark.parametrize("name", ["L", "Lu", "M", "N", "Nd", "P", "S", "Z", "C"])
def test_a_property_matches_its_characters_and_no_others(name: str) -> None:
    expected = [char for char in ASSIGNED if unicodedata.category(char).startswith(name)]
    assert "".join(compile_pattern(rf"\p{{{name}}}+").findall(ASSIGNED)) == "".join(expected)
    others = "".join(compile_pattern(rf"\P{{{name}}}+").findall(ASSIGNED))
    assert len(others) == len(ASSIGNED) - len(expected)


def test_white_space_is_unicode_s_not_python_s() -> None:
    found = "".join(compile_pattern(r"\s").findall(ASSIGNED))
    assert found == WHITE_SPACE
    python = {char for char in ASSIGNED if char.isspace()}
    assert python - set(found) == set("\x1c\x1d\x1e\x1f")
    assert set(found) <= python


def test_word_characters() -> None:
    word = set(compile_pattern(r"\w").findall(ASSIGNED))
    assert {"a", "é", "_", "‿", "一", "Ⅻ", "ⓐ", "²", "½", "\u0301", "٣"} <= word
    assert word.isdisjoint({"-", " ", "①", "€", "\u200d", "৴", "\ufeff"})


# Pieces as Oniguruma gives them (tokenizers 0.23, Split, Isolated).
@pytest.mark.parametrize(
    ("pattern", "text", "pieces"),
    [
        (r"a{,2}", "aaaaa", ["aa", "aa", "a"]),
        (r"b$", "ab\nab", ["a", "b", "\na", "b"]),
        (r"^b", "b\nb", ["b", "\n", "b"]),
        (r"\s+$", "a  \nb  ", ["a", "  ", "\nb", "  "]),
        (r"b\z", "ab\nab", ["ab\na", "b"]),
        (r"b\Z", "ab\nab\n", ["ab\na", "b", "\n"]),
        (r"a\Ab", "ab", ["ab"]),
        (r"(?i:'s)", "x'ſ'S'K", ["x", "'ſ", "'S", "'K"]),
        (r"(?i)A", "aAb", ["a", "A", "b"]),
        (r".", "a\nb", ["a", "\n", "b"]),
        (r"[\s\S]", "ab", ["a", "b"]),
        (r"\v", "a\vb\n", ["a", "\v", "b\n"]),
        (r"[a-z&&[^b]]", "abc", ["a", "b", "c"]),
        (r"[\p{L}&&[^\p{Lu}a-m]]+", "anZnn", ["a", "n", "Z", "nn"]),
        (r"[^a&&b]", "abc", ["a", "b", "c"]),
        (r"[a[bc]]+", "abcd", ["abc", "d"]),
        (r"[]a]", "a]b", ["a", "]", "b"]),
        (r"[a-]", "a-b", ["a", "-", "b"]),
        (r"(?<=a)b", "abb", ["a", "b", "b"]),
        (r"(?<!a)b", "abb", ["ab", "b"]),
        (r"\x{41}|\x42|\u0043", "ABCD", ["A", "B", "C", "D"]),
        (r"\p{^L}", "a1", ["a", "1"]),
        (r"\p{Letter}\p{Han}", "a一b", ["a一", "b"]),
        (r"\d", "1٣x", ["1", "٣", "x"]),
        (r"a{x}|b{", "a{x}b{", ["a{x}", "b{"]),
        (r"a++b|c?+d", "aabcdd", ["aab", "cd", "d"]),
        (r"(?>a+)b", "aab", ["aab"]),
        (r"\b", "a b", ["a", " ", "b"]),
        (r"a\Ba", "aaa", ["aa", "a"]),
        (r"(?=(\d{3})+(?!\d))", "1234567", ["1", "234", "567"]),
        (r"\d{1,3}(?=(?:\d{3})*\b)", "1234567", ["1", "234", "567"]),
        (r"\-\/\_\é", "-/_é.", ["-/_é", "."]),
    ],
)
def test_a_pattern_splits_as_oniguruma_does(pattern: str, text: str, pieces: list[str]) -> None:
    assert Split(compile_pattern(pattern))([text], True) == pieces


@pytest.mark.parametrize(
    ("pattern", "named"),
    [
        (r"(?<n>a)", "(?<n"),
        (r"(a)\1", r"\1"),
        (r"\h", r"\h"),
        (r"\R", r"\R"),
        (r"[[:alpha:]]", "POSIX"),
        (r"\p{Greek}", r"\p{Greek}"),
        (r"\pL", r"\p without"),
        (r"(?m:a)", "(?m"),
        (r"a(?i)b", "(?i"),
        (r"a{2}+", "{2}+"),
        (r"a{2}?", "{2}?"),
        (r"a|*", "*"),
        (r"a)", "unmatched )"),
        (r"[b-a]", "range"),
        (r"\x{110000}", r"\x"),
    ],
)
def test_what_cannot_be_translated_exactly_is_named(pattern: str, named: str) -> None:
    with pytest.raises(TokenizerError, match=re.escape(named)):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a", "[a", "\\", "(?", "a{99999999999}", "(?<=a+)b", "\\p{"])
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(TokenizerError, match="pattern"):
        compile_pattern(pattern)


SAMPLE = "I'VE seen  12345 CamelCase, naïve\u0301 我们 ñ€!\n\n\t x ½'ſ  "


# Pieces as tokenizers 0.23 gives them for the models' own patterns.
@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        (
            "gpt-2",
            [
                *("I", "'", "VE", " seen", " ", " 12345", " CamelCase", ",", " naïve", "\u0301"),
                *(" 我们", " ñ", "€!", "\n\n\t", " x", " ½", "'", "ſ", "  "),
            ],
        ),
        (
            "llama-bpe",
            [
                *("I", "'VE", " seen", " ", " ", "123", "45", " CamelCase", ",", " naïve"),
                *("\u0301", " 我们", " ñ", "€!\n\n", "\t", " x", " ", "½", "'ſ", "  "),
            ],
        ),
        (
            "qwen2",
            [
                *("I", "'VE", " seen", " ", " ", "1", "2", "3", "4", "5", " CamelCase", ","),
                *(" naïve", "\u0301", " 我们", " ñ", "€!\n\n", "\t", " x", " ", "½", "'ſ", "  "),
            ],
        ),
        (
            "gpt-4o",
            [
                *("I'VE", " seen", " ", " ", "123", "45", " Camel", "Case", ",", " naïve\u0301"),
                *(" 我们", " ñ", "€!\n\n", "\t", " x", " ", "½", "'ſ", "  "),
            ],
        ),
        (
            "tekken",
            [
                *("I", "'VE", " seen", " ", " ", "1", "2", "3", "4", "5", " Camel", "Case", ","),
                *(" naïve\u0301", " 我们", " ñ", "€!\n\n", "\t", " x", " ", "½", "'ſ", "  "),
            ],
        ),
        (
            "deepseek-v3",
            [
                *("I", "'VE", " seen", "  ", "123", "45", " CamelCase", ",", " naïve\u0301"),
                *(" ", "我们", " ñ", "€!\n\n", "\t", " x", " ", "½", "'", "ſ", "  "),
            ],
        ),
        (
            "starcoder",
            [
                *("I", "'", "VE", " seen", "  ", "1", "2", "3", "4", "5", " CamelCase", ","),
                *(" naïve", "\u0301", " 我们", " ñ", "€!", "\n\n\t", " x", " ", "½", "'", "ſ"),
                "  ",
            ],
        ),
    ],
)
def test_a_named_pre_tokenizer(name: str, pieces: list[str]) -> None:
    assert profile_named(name).pre_tokenizer()([SAMPLE], True) == pieces


@pytest.mark.parametrize("name", PROFILES)
def test_every_named_pre_tokenizer_keeps_the_text(name: str) -> None:
    assert "".join(profile_named(name).pre_tokenizer()([SAMPLE], True)) == SAMPLE


def test_an_unknown_pre_tokenizer_is_named() -> None:
    with pytest.raises(UnsupportedModelError, match="'kimi-k2'"):
        profile_named("kimi-k2")
