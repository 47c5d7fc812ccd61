"""Patterns that can be read in many ways: what they match, and how much of that is kept open."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import product

import pytest

from webllm_py.errors import GrammarError
from webllm_py.grammar import gbnf
from webllm_py.grammar.boxes import UNBOUNDED, united
from webllm_py.grammar.regex import regex
from webllm_py.grammar.regular import Choice
from webllm_py.grammar.term import EMPTY, Regular

MANY = [
    (r"(([a-z]{1,100}){1,100}){1,100}", "a", 1),
    (r"((a{1,100}b?){1,100}c?){1,100}", "a", 4),
    (r"((a{50,100}b?){50,100}c?){50,100}", "a", 12),
    (r"(((a{10,99}b?){10,99}c?){10,99}d?){10,99}", "a", 12),
    (r"(.{0,50}x){0,50}", "xy", 20),
    (r"(a|a)*", "a", 1),
    (r"(a*)*b", "a", 1),
    (r"(a?){50}a{50,900}", "a", 1),
    (r"a{0,1000000}", "a", 1),
    (r"[ab]*a[ab]{20}", "aab", 22),
    (r"([ab]*a[ab]{20})*", "aabab", 22),
    (r"([ab]*a[ab]{20}){1,100}", "aab", 22),
    (r"(((a|b|ab|ba|aba){1,50}(b|ba){0,50}){1,50}){1,50}", "ab", 12),
    (r"(aa|aaa){1,1000}(a{5}|a{7}){1,1000}", "a", 12),
    (r"((a{1,30}b?){7,30}c?){5,30}|((a{9,60}b?){8,60}d?){7,50}", "a", 20),
]
"""Patterns, what is read again and again, and the most options that are kept open then."""
PIECES = ("a", "b", "[ab]", "aa", "ab", "aba", "a?", "b?", "[^b]")
COUNTS = ((0, 2), (1, 3), (2, 3), (2, 2), (3, 4), (1, 100), (50, 90), (0, 1), (0, 9000))
LONGEST = 6
TEXTS = ["".join(text) for n in range(LONGEST + 1) for text in product("ab", repeat=n)]


def steps(language: Regular, text: bytes) -> Iterator[Regular]:
    for byte in text:
        language = language.step(byte)
        yield language


def options(term: Regular) -> int:
    return len(term.options) if isinstance(term, Choice) else 1


def nested(chosen: random.Random, depth: int) -> tuple[str, set[str]]:
    """A pattern, and those of ``TEXTS`` that it matches: ``re`` would take ages to tell."""
    kind = chosen.randrange(6) if depth else 0
    if not kind:
        piece = chosen.choice(PIECES)
        return piece, {text for text in TEXTS if re.fullmatch(piece, text)}
    inner, once = nested(chosen, depth - 1)
    if kind < 4:
        least, most = chosen.choice(COUNTS)
        return f"({inner}){{{least},{most}}}", repeated(once, least, most)
    other, texts = nested(chosen, depth - 1)
    return (f"({inner}|{other})", once | texts) if kind == 4 else (inner + other, both(once, texts))


def both(first: set[str], second: set[str]) -> set[str]:
    return {a + b for a in first for b in second if len(a + b) <= LONGEST}


def repeated(once: set[str], least: int, most: int) -> set[str]:
    found, texts = set[str](), {""}
    for count in range(most + 1):
        if count >= least:
            if texts <= found:
                break  # and so are those of more
            found |= texts
        texts = both(texts, once)
    return found


@pytest.mark.parametrize(("pattern", "text", "most"), MANY)
def test_what_is_open_does_not_grow(pattern: str, text: str, most: int) -> None:
    language = regex(pattern)
    read = (text * 600)[:600].encode()
    found = list(steps(language, read))
    assert EMPTY not in found
    assert max(map(options, found)) <= most


def test_nested_counts_match_what_they_say() -> None:
    chosen = random.Random(7)
    for _ in range(250):
        pattern, texts = nested(chosen, 5)
        language = regex(pattern)
        for text in chosen.sample(TEXTS, 30):
            *_, behind = language, *steps(language, text.encode())
            assert behind.nullable is (text in texts), (pattern, text)
            assert options(behind) < 64, (pattern, text)


@pytest.mark.parametrize("inner", ["a{0,3}", "a{1,3}", "a{2,3}", "a{2}", "a{3,4}", "a{2,}", "a*"])
@pytest.mark.parametrize("outer", ["{0,2}", "{1,2}", "{2,4}", "{3}", "*", "+", "?", "{3,}"])
def test_counts_of_counts_are_one_count_only_where_that_is_exact(inner: str, outer: str) -> None:
    pattern = f"({inner}){outer}"
    language = regex(pattern)
    for size in range(13):
        *_, behind = language, *steps(language, b"a" * size)
        assert behind.nullable is (re.fullmatch(pattern, "a" * size) is not None), size


def test_equal_patterns_are_one_term() -> None:
    assert regex("(([a-z]{1,100}){1,100}){1,100}") is regex("[a-z]{1,1000000}")
    assert regex("(a?){50}a{50}") is regex("a{50,100}")
    assert regex("(a*)*b") is regex("a*b")
    assert regex("a{1,3}b|a{2,7}b|a{8}b") is regex("a{1,8}b")
    assert regex("a{2}|a{4}") is not regex("a{2,4}")


def test_boxes_are_put_together_where_they_touch() -> None:
    assert united([((0, 3), (1, 1)), ((4, 5), (1, 1))]) == {((0, 5), (1, 1))}
    assert united([((0, 3), (1, 1)), ((5, 5), (1, 1))]) == {((0, 3), (1, 1)), ((5, 5), (1, 1))}
    assert united([((0, 3), (1, 4)), ((1, 2), (2, 3))]) == {((0, 3), (1, 4))}
    assert united([((0, UNBOUNDED), (0, 1)), ((1, UNBOUNDED), (0, 9))]) == {
        ((0, UNBOUNDED), (0, 1)),
        ((1, UNBOUNDED), (0, 9)),
    }
    assert united([((0, UNBOUNDED), (1, 2)), ((3, UNBOUNDED), (1, 1))]) == {
        ((0, UNBOUNDED), (1, 2))
    }


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(" * 40 + "a{1,5}" + "b?){1,5}" * 40, b"aaaa"),
        ("[ab]*a[ab]{100000}c", b"aab" * 700),
    ],
    ids=["deep", "long"],
)
def test_a_pattern_that_is_too_ambiguous_is_refused_before_it_grows(
    pattern: str, text: bytes
) -> None:
    with pytest.raises(GrammarError, match="too ambiguous"):
        for found in steps(regex(pattern), text):
            assert options(found) <= 512


def test_many_options_that_are_written_are_not_too_many() -> None:
    words = [f"{n % 7}{n:04}x?" for n in range(1000)]
    language = regex("|".join(words))
    assert options(language) == 1000
    *_, behind = steps(language, b"40620")
    assert behind.nullable


@pytest.mark.parametrize(
    "root",
    ["((x{1,99}){1,99}){1,99}", "((x{1,99} [b]?){1,99} [c]?){1,99}", "(x?){100000}"],
)
def test_counts_of_rules_that_are_too_ambiguous_are_refused(root: str) -> None:
    grammar = gbnf(f'root ::= {root}\nx ::= "a" | "(" x ")"')
    with pytest.raises(GrammarError, match="too ambiguous"):
        grammar.start().behind(b"a" * 600)
