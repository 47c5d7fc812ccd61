"""Answers of the corpus, worked out again from the questions by other means."""

from __future__ import annotations

import calendar
import json
import re
from collections import defaultdict
from collections.abc import Callable

import pytest

from demo.pocket.corpus import Chat, Draw, arithmetic, jsons, normalise, spelling, visible
from demo.pocket.corpus.core import Turn
from demo.pocket.corpus.facts import _fill
from demo.pocket.corpus.relations import RELATIONS

SUM = re.compile(r"^(-?\d+) ([-+x/]) (\d+)(?: \+ (\d+))? = (-?\d+)\.$")
OPERATIONS: dict[str, Callable[[int, int], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "x": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}
DIGIT_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "no": 0}


def turns(family: Callable[[Draw], Turn], count: int = 2000) -> list[Turn]:
    draw = Draw(99)
    return [family(draw) for _ in range(count)]


def the_word(turn: Turn) -> str:
    """The one word of a question that stands in quotes."""
    quoted = re.search(r"""(['"])([A-Za-z]+)\1""", turn.user)
    return quoted[2] if quoted else ""


@pytest.mark.parametrize(
    "family", [arithmetic.sum_or_difference, arithmetic.three_terms, arithmetic.product_or_quotient]
)
def test_arithmetic(family: Callable[[Draw], Turn]) -> None:
    for turn in turns(family):
        match = SUM.match(turn.reply)
        assert match, turn.reply
        a, sign, b, c, result = match.groups()
        assert OPERATIONS[sign](int(a), int(b)) + int(c or 0) == int(result), turn.reply
        asked = [int(n) for n in re.findall(r"\d+", turn.user)]
        answered = [int(n) for n in (a, b, c) if n is not None]
        assert sorted(asked) == sorted(answered) or not asked, (turn.user, turn.reply)


def test_subtraction_keeps_the_order_of_the_question() -> None:
    for turn in turns(arithmetic.difference):
        a, b = turn.reply.split(" = ")[0].split(" - ")
        from_second = re.search(r"(?:Subtract|Take|subtract) \d+ (?:away )?from", turn.user)
        asked = re.findall(r"\d+", turn.user)
        if asked:
            assert asked == ([b, a] if from_second else [a, b]), turn.user


def test_running_totals_go_on_from_the_last_result(chats: list[Chat]) -> None:
    seen = 0
    for chat in chats:
        if chat.messages[0]["role"] == "system":
            continue
        replies = [m["content"] for m in chat.messages if m["role"] == "assistant"]
        for family, before, reply in zip(chat.families[1:], replies, replies[1:], strict=False):
            if family == "follow_sum":
                seen += 1
                total = re.findall(r"-?\d+", before)[-1]
                assert reply.startswith(f"{total} "), (before, reply)
    assert seen > 500


def test_numbers_in_words_count_up_in_english() -> None:
    said = [arithmetic.number_word(n) for n in range(200)]
    assert len(set(said)) == 200
    assert said[13] == "thirteen"
    assert said[40] == "forty"
    assert said[85] == "eighty-five"
    assert said[100] == "one hundred"
    assert said[119] == "one hundred and nineteen"


def test_numbers_are_sorted_and_compared() -> None:
    for turn in turns(arithmetic.comparison):
        numbers = sorted(int(n) for n in re.findall(r"\d+", turn.user))
        if turn.family == "sorting":
            assert turn.short == ", ".join(map(str, numbers))
        else:
            largest = re.search("bigg|larg|great|more", turn.user) is not None
            assert turn.short == str(numbers[-1] if largest else numbers[0]), turn.user


def test_reversed_words_read_backwards() -> None:
    for turn in turns(spelling.reverse):
        if word := the_word(turn):
            assert visible(turn.reply) == "".join(reversed(word))


def test_copies_are_copies() -> None:
    for turn in turns(spelling.copy):
        assert turn.reply in turn.user


def test_letters_are_counted_as_they_are_spelled() -> None:
    seen = 0
    for turn in turns(spelling.count_letters):
        spelled, answer = turn.reply.split(" has ")
        word = spelled.replace("-", "")
        assert f"{word}" in turn.user
        if answer.endswith(("letters.", "letter.")):
            assert int(answer.split()[0]) == len(word)
            continue
        count, letter = answer.rstrip(".").split(" ")
        wanted = DIGIT_WORDS[count] if count in DIGIT_WORDS else int(count)
        letter = letter.removesuffix("'s")
        assert sum(c == letter for c in word.lower()) == wanted, turn.reply
        seen += 1
    assert seen > 500


def test_words_are_sorted() -> None:
    for turn in turns(spelling.sort_words):
        assert turn.short is not None
        answered = turn.short.split(", ")
        assert answered == sorted(answered)
        assert all(word in turn.user for word in answered)


def test_json_answers_hold_what_the_question_says() -> None:
    for family, _ in jsons.FAMILIES:
        for turn in turns(family, 1000):
            answer = json.loads(visible(turn.reply))
            if turn.family == "json_sum":
                name = "sum" if "sum" in answer else "difference"
                sign = 1 if name == "sum" else -1
                assert answer[name] == answer["a"] + sign * answer["b"]
            elif turn.family == "json_person":
                assert all(str(value) in turn.user for value in answer.values())
                assert set(answer) <= {"name", "age", "city", "job"}
            elif turn.family == "json_pairs":
                assert all(key in turn.user and str(v) in turn.user for key, v in answer.items())
            elif turn.family == "json_order":
                assert all(f"{count} {noun}" in turn.user for noun, count in answer.items())


def test_a_question_has_one_answer_in_all_relations() -> None:
    answers: dict[str, set[str]] = defaultdict(set)
    for relation in RELATIONS:
        for ask in relation.asks:
            for x, reply, _ in relation.rows:
                answers[normalise(_fill(ask, x))].add(reply)
    assert len(answers) > 15_000
    assert [ask for ask, replies in answers.items() if len(replies) > 1] == []


def rows(name: str) -> dict[str, str]:
    """What is asked for and the bare answer, of one relation."""
    (relation,) = (r for r in RELATIONS if r.name == name)
    return {x: short for x, _, short in relation.rows}


def test_the_calendar_is_that_of_the_standard_library() -> None:
    days, months = list(calendar.day_name), list(calendar.month_name)[1:]
    for i, day in enumerate(days):
        assert rows("day_after")[day] == rows("tomorrow")[day] == days[(i + 1) % 7]
        assert rows("day_before")[day] == rows("yesterday")[day] == days[i - 1]
    for i, month in enumerate(months):
        assert rows("month_after")[month] == months[(i + 1) % 12]
        assert rows("month_before")[month] == months[i - 1]
        assert rows("month_days")[month] == str(calendar.monthrange(2023, i + 1)[1])


def test_some_well_known_facts() -> None:
    capitals = rows("capital")
    assert len(capitals) > 170
    known = {"France": "Paris", "Japan": "Tokyo", "Australia": "Canberra", "Brazil": "Brasilia"}
    assert {country: capitals[country] for country in known} == known
    assert capitals["the Netherlands"] == capitals["Netherlands"] == "Amsterdam"
    assert rows("colour")["grass"] == "green"
    assert rows("opposite")["hot"] == "cold"
    assert rows("opposite")["cold"] == "hot"
    assert rows("young")["dog"] == "puppy"
    assert rows("legs")["spider"] == "8"
