"""Texts into passages: where they are divided, what they share, and that nothing is lost."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest

from webllm_py.documents.splitting import sentences, split

GUIDE = """\
# Guide

Dr. Smith wrote this, e.g. for tests. It is short!  Is it?

## Install

```sh
# no heading
pip install it

run it
```

- one thing. Really.
- another thing

Older
-----
Below an underlined heading.

## Empty
"""


def count(text: str) -> int:
    return len(text.split())


def texts(text: str, **sizes: int) -> list[str]:
    return [text[s.start : s.end] for s in split(text, count, **sizes)]


def test_headings_divide_and_are_told() -> None:
    found = [(s.headings, GUIDE[s.start : s.end]) for s in split(GUIDE, count, size=99, overlap=0)]
    assert [headings for headings, _ in found] == [
        ("Guide",),
        ("Guide", "Install"),
        ("Guide", "Older"),
        ("Guide",),
    ]
    assert found[1][1].startswith("```sh\n# no heading") and found[1][1].endswith("another thing")
    assert found[2][1] == "Below an underlined heading."
    assert found[3][1] == "## Empty", "a heading alone is found too"


def test_sentences_stay_whole_and_abbreviations_end_none() -> None:
    assert texts(GUIDE, size=8, overlap=0)[:2] == [
        "Dr. Smith wrote this, e.g. for tests.",
        "It is short!  Is it?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He said “Stop.” Then he went.", ["He said “Stop.”", "Then he went."]),
        ("Pi is 3.14 here. So it is.", ["Pi is 3.14 here.", "So it is."]),
        ("これは一。それは二。", ["これは一。", "それは二。"]),
        ("- first\n- second", ["- first", "- second"]),
        ("| a | b |\n| c | d |", ["| a | b |", "| c | d |"]),
    ],
)
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text, 0, len(text))] == expected


def test_abbreviations_and_nothing_else_take_no_longer_than_other_texts() -> None:
    """A list of answers, for one: its searches once began at the text's first letter each."""
    begun = time.perf_counter()
    assert len(split("1. A " * 4000, count, size=200, overlap=40)) > 10
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("# C#", "C#"),
        ("## C# ##", "C#"),
        ("# ##", ""),
        ("#  The end \t", "The end"),
        ("# a" + " " * 5000 + "b", "a" + " " * 5000 + "b"),
    ],
)
def test_titles_of_headings(line: str, title: str) -> None:
    (span,) = split(f"{line}\n\ntext", count, size=200, overlap=0)
    assert span.headings == (title,)


def test_a_passage_ends_with_a_paragraph_where_one_ends_late_enough() -> None:
    text = "a b c d. E f.\n\nG h. I j k l m.\n\nN o p."
    assert texts(text, size=10, overlap=0) == ["a b c d. E f.", "G h. I j k l m.\n\nN o p."]


def test_neighbours_have_whole_sentences_in_common_where_there_is_room() -> None:
    text = "One two three. Four five. Six seven eight. Nine ten."
    first = ["One two three. Four five.", "Four five. Six seven eight."]
    assert texts(text, size=6, overlap=3) == [*first, "Six seven eight. Nine ten."]
    assert texts(text, size=6, overlap=2) == [*first, "Nine ten."]


def test_what_is_longer_than_a_passage_is_divided_between_words() -> None:
    text = " ".join(f"w{i}" for i in range(50))
    found = texts(text, size=7, overlap=0)
    assert all(count(part) <= 7 for part in found) and " ".join(found) == text
    assert len(split("x" * 1000, len, size=64, overlap=8)) == 16, "nor are there always words"


def test_nothing_is_lost_and_no_passage_is_too_long() -> None:
    draw = random.Random(6)
    pieces = [
        "word",
        "End.",
        "\n# Title\n",
        "\n",
        "\n\n",
        "\n- item",
        "\n```\n",
        "日本語。",
        "\f",
        "\n---\n",
    ]
    for _ in range(300):
        text = " ".join(draw.choices(pieces, k=draw.randrange(60)))
        size = draw.randrange(2, 20)
        spans = split(text, count, size=size, overlap=draw.randrange(size))
        assert all(count(text[span.start : span.end]) <= size for span in spans)
        for first, second in pairwise(spans):
            assert first.start < second.start and first.end < second.end
        shown = "\n".join("\n".join([*s.headings, text[s.start : s.end]]) for s in spans)
        for word in ("word", "End.", "item", "日本語。", "Title"):
            assert shown.count(word) >= text.count(word)
