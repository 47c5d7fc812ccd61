"""Regular expressions against Python's ``re``, and the refusals by name."""

from __future__ import annotations

import random
import re

import pytest

from webllm_py.errors import GrammarError
from webllm_py.grammar.boolean import both, complement
from webllm_py.grammar.characters import json_escaped, json_text
from webllm_py.grammar.regex import regex, searching
from webllm_py.grammar.regular import ANYTHING, byte_set, repeat
from webllm_py.grammar.term import EMPTY, Regular
from webllm_py.grammar.words import literal, literals

PATTERNS = [
    r"^[a-z]{2,4}$",
    r"a|^b|c$",
    r"^(a|b)c*",
    r"(^a|b)c",
    r"\d{1,3}-\w",
    r'^[^"\\]*$',
    r"^é?[à-ü]+$",
    r"^\s*[\d.-]+\s*$",
    r"^(foo|bar)?$",
    r"^$",
    r"a{1,}?b",
    r"^(?:a+|b{0,2})*-$",
    r"x{0,300}y",
    "[😀-😎]",
    r"\Aa*b?\Z",
]


def reads(language: Regular, text: bytes) -> bool:
    for byte in text:
        language = language.step(byte)
    return language.nullable


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_finds_what_re_finds(pattern: str) -> None:
    chosen = random.Random(pattern)
    found = 0
    plain, escaped = searching(pattern), searching(pattern, json_escaped)
    whole = regex(pattern)
    for _ in range(1000):
        text = "".join(chosen.choices('abcfor"\\é1-\n. xyü😀😎', k=chosen.randrange(6)))
        expected = re.search(pattern, text, re.ASCII) is not None
        if pattern.endswith("$") and text.endswith("\n"):
            continue  # Python's $ also matches before a last line end; ECMA-262's does not
        assert reads(plain, text.encode()) is expected, text
        assert reads(escaped, json_text(text)) is expected, text
        if pattern[0] == "^" and pattern[-1] == "$" and "|" not in pattern:
            assert reads(whole, text.encode()) is expected, text
        found += expected
    assert found


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(?=a)b", "lookahead"),
        (r"(?<!a)b", "lookbehind"),
        (r"(a)\1", "back reference"),
        (r"\bword", "word boundary"),
        (r"\p{L}", "Unicode property"),
        (r"a(b", r"without its '\)'"),
        (r"a)b", r"unmatched '\)'"),
        (r"[z-a]", "out of order"),
        (r"a{3,2}", "out of order"),
        pytest.param(f"a{{{'9' * 5000}}}", "too many digits", id="5000 digits"),
        (r"*a", "nothing to repeat"),
        (r"[a", "too early"),
        (r"a^b", "in the middle"),
        (r"\u12", "malformed escape"),
        (r"\Qa.b\E", r"without a meaning \(\\Q\)"),
        (r"[\h]", r"without a meaning \(\\h\)"),
    ],
)
def test_what_is_not_regular_or_malformed_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(GrammarError, match=reason):
        searching(pattern)


def test_counts_are_not_unfolded() -> None:
    assert reads(regex("(a|b){1,100000}"), b"ab" * 300)
    assert not reads(regex("a{1000}"), b"a" * 999)
    assert reads(regex("(a?){1000000}"), b"aa")


def test_equal_terms_are_one_object() -> None:
    assert regex("ab|ac|ad") is not regex("ab")
    assert regex("[ab]c") is regex("(?:a|b)c")
    assert regex("a*").step(97) is regex("a*")


def test_intersection_and_complement() -> None:
    even = regex("(..)*")
    words = both(even, regex("[ab]*"), complement(literals([b"ab", b"ba"])))
    assert reads(words, b"aa") and reads(words, b"abba")
    assert not reads(words, b"ab") and not reads(words, b"aba")
    impossible = both(regex("a{3}"), regex("(..)*"))
    assert not impossible.alive() and impossible.step(97) is EMPTY
    assert complement(complement(even)) is even
    assert both(even, ANYTHING) is even


def test_only_bytes_that_lead_somewhere_come_first() -> None:
    language = both(regex("ax|by"), regex(".[xz]"))
    assert language.first() == 1 << ord("a")


def test_a_long_literal_needs_no_deep_recursion() -> None:
    text = bytes(range(32, 127)) * 100
    assert reads(literal(text), text)
    assert reads(repeat(byte_set(1 << 97), 5000, 5000), b"a" * 5000)
