"""The held-out side of the corpus never reaches the training side."""

from __future__ import annotations

import json
import re
from itertools import islice

import pytest

from demo.pocket.corpus import (
    HELD_OUT_FAMILIES,
    Chat,
    Draw,
    documents,
    is_held_out,
    normalise,
    visible,
)
from demo.pocket.make_heldout import HELD_OUT_FILE, prompts

TERMS = re.compile(r"(?=(?<![\d.:/-])(\d{1,2}) ?([+-]) ?(\d{1,2})(?![\d.:/]))")
JSON_TERMS = re.compile(r'"a": (\d+), "b": (\d+), "(sum|difference)"')
HELD_OUT = [json.loads(line) for line in HELD_OUT_FILE.read_text().splitlines()]


def pair_key(a: int, sign: str, b: int) -> str:
    return f"sum {min(a, b)} {max(a, b)}" if sign == "+" else f"difference {a} {b}"


def test_training_is_the_same_for_a_seed_and_differs_between_seeds() -> None:
    first, again, other = (list(islice(documents(Draw(s)), 200)) for s in (7, 7, 8))
    assert first == again
    assert first != other


def test_held_out_pairs_occur_nowhere_in_training(chats: list[Chat]) -> None:
    seen = 0
    for chat in chats:
        if chat.tools:
            continue  # numbers for a calculator are longer, and times look like differences
        for message in chat.messages:
            for a, sign, b in TERMS.findall(message["content"]):
                seen += 1
                assert not is_held_out(pair_key(int(a), sign, int(b))), message["content"]
    assert seen > 10_000


def test_held_out_pairs_occur_nowhere_in_json(chats: list[Chat]) -> None:
    seen = 0
    for chat in chats:
        for message in chat.messages:
            for a, b, name in JSON_TERMS.findall(message["content"]):
                seen += 1
                sign = "+" if name == "sum" else "-"
                assert not is_held_out(pair_key(int(a), sign, int(b))), message["content"]
    assert seen > 200


def test_the_200_prompts_occur_nowhere_in_training(chats: list[Chat]) -> None:
    held_out = {normalise(prompt["prompt"]) for prompt in HELD_OUT}
    for chat in chats:
        for message in chat.messages:
            assert normalise(message["content"]) not in held_out


def test_a_twelfth_of_the_content_is_held_out() -> None:
    sums = [f"sum {a} {b}" for a in range(100) for b in range(a, 100)]
    share = sum(map(is_held_out, sums)) / len(sums)
    assert share == pytest.approx(1 / 12, abs=0.01)


def test_the_file_is_what_the_generator_makes() -> None:
    assert list(prompts()) == HELD_OUT


def test_the_file_has_200_different_prompts_of_three_families() -> None:
    assert len({normalise(prompt["prompt"]) for prompt in HELD_OUT}) == 200
    assert {prompt["family"] for prompt in HELD_OUT} == set(HELD_OUT_FAMILIES)


def test_held_out_answers_are_right() -> None:
    for prompt in HELD_OUT:
        if prompt["family"] == "arithmetic":
            terms, result = prompt["answer"].rstrip(".").split(" = ")
            a, sign, b = terms.split()
            assert int(result) == (int(a) + int(b) if sign == "+" else int(a) - int(b))
            assert is_held_out(pair_key(int(a), sign, int(b)))
        elif prompt["family"] == "json":
            json.loads(prompt["answer"])
        assert prompt["answer"] == visible(prompt["answer"])
