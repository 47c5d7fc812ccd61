"""Answers as JSON: facts, sums, words, lists, and data taken out of a sentence."""

from __future__ import annotations

import json
from typing import Any

from . import world
from .arithmetic import difference, sum_
from .core import Draw, Noise, Turn, capitalise, letters, normalise
from .lexicon import CITIES, JOBS, NAMES, NOUNS, WORDS, made_up

__all__ = ["FAMILIES"]


def _turn(draw: Draw, user: str, answer: Any, family: str) -> Turn:
    reply = json.dumps(answer, ensure_ascii=False)
    return Turn(user, reply, noise=Noise.CASE, family=family)


_COUNTRIES = [(country, capital) for country, (capital, _) in world.COUNTRIES.items()]
_FACT_ASKS = (
    "Give {q} as JSON.", "Give me {q} as JSON.", "{q} as JSON", "Write {q} as JSON.",
    "{q}, in JSON.", "Return {q} as JSON.", "Answer in JSON: {q}", "Show {q} in JSON.",
    "JSON with {q}, please.", "I need {q} as JSON.", "Output {q} in JSON format.",
    "Tell me {q} as a JSON object.",
)  # fmt: skip


def fact(draw: Draw) -> Turn:
    """A fact as an object with two keys."""
    while True:
        kind = draw.random()
        if kind < 0.5:
            country, capital = draw.choice(_COUNTRIES)
            subject = f"the capital of {country}"
            answer = {"country": country.removeprefix("the "), "capital": capital}
        elif kind < 0.75:
            thing, colour = draw.choice(world.COLOURS[:-1])
            subject = f"the colour of {thing}"
            bare = thing.removeprefix("a ").removeprefix("an ").removeprefix("the ")
            answer = {"thing": bare, "colour": colour}
        else:
            word, opposite = draw.choice(world.OPPOSITES)
            subject = f"the opposite of {word}"
            answer = {"word": word, "opposite": opposite}
        user = capitalise(draw.choice(_FACT_ASKS).replace("{q}", subject))
        if draw.keep(normalise(user)):
            return _turn(draw, user, answer, "json_fact")


_ENDINGS = ("Answer as JSON.", "Answer in JSON.", "As JSON, please.", "Reply with JSON.",
            "Give the answer as JSON.", "JSON only.", "Use JSON.")  # fmt: skip


def arithmetic(draw: Draw) -> Turn:
    """A sum or difference as an object; the pairs are held out as everywhere."""
    name, family = ("sum", sum_) if draw.chance(0.5) else ("difference", difference)
    turn = family(draw)
    a, sign, b, _, result = turn.reply.rstrip(".").split()
    sign_word = "plus" if sign == "+" else "minus"
    user = draw.choice((
        f"What is {a} {sign} {b}? {draw.choice(_ENDINGS)}",
        f"What is {a} {sign_word} {b}? {draw.choice(_ENDINGS)}",
        f"Calculate {a} {sign} {b}. {draw.choice(_ENDINGS)}",
        f"Give {a} {sign} {b} as JSON.",
        f"{a} {sign} {b} as JSON",
        f"Give the result of {a} {sign} {b} as JSON.",
    ))  # fmt: skip
    answer = {"a": int(a), "b": int(b), name: int(result)}
    return _turn(draw, user, answer, "json_sum")


_PEOPLE = (
    "{name} is {age} years old and lives in {city}.",
    "{name} lives in {city} and is {age} years old.",
    "{name}, {age}, lives in {city}.",
    "{name} is a {job} from {city}, {age} years old.",
    "My name is {name}, I am {age} and I live in {city}.",
    "I am {name}, a {job} in {city}.",
    "{name} works as a {job} in {city}.",
    "{name} is {age} years old and works as a {job}.",
    "{name} is a {age} year old {job}.",
    "{name} from {city} is {age} years old.",
    "The {job} {name} lives in {city} and is {age}.",
    "In {city} lives {name}, who is {age} years old.",
    "{name} is {age}.",
    "Meet {name}, a {job} who lives in {city}.",
    "{name} ({age}) from {city} is a {job}.",
    "This is {name}. The {job} is {age} years old and lives in {city}.",
)
_EXTRACT = (
    "Extract {keys} as JSON: {text}", "Give {keys} as JSON: {text}", "{text} Give {keys} as JSON.",
    "Extract {keys} from this text as JSON: {text}", "{text} Extract {keys} as JSON.",
    "Find {keys} and answer as JSON: {text}", "Turn this into JSON with {keys}: {text}",
    "{text} Write {keys} as JSON.", "JSON with {keys}: {text}",
)  # fmt: skip
_EXTRACT_ALL = ("Turn this into JSON: {text}", "Extract the data as JSON: {text}",
                "As JSON: {text}", "{text} Give that as JSON.",
                "Make JSON of this: {text}")  # fmt: skip


def person(draw: Draw) -> Turn:
    """A person's data out of a sentence, with all keys or those that were asked for."""
    while True:
        sentence = draw.choice(_PEOPLE)
        age = 1 + draw.below(99)
        data: dict[str, Any] = {
            "name": draw.choice(NAMES) if draw.chance(0.85) else capitalise(made_up(draw)),
            "age": age,
            "city": draw.choice(CITIES),
            "job": draw.choice(JOBS),
        }
        text = sentence.format(**data).replace(" a engineer", " an engineer").replace(
            " a actor", " an actor")  # fmt: skip
        present = [key for key in data if f"{{{key}}}" in sentence]
        if draw.chance(0.3):
            keys = present
            user = draw.choice(_EXTRACT_ALL).format(text=text)
        else:
            keys = draw.sample(present, 1 + draw.below(len(present)))
            user = draw.choice(_EXTRACT).format(keys=_and(keys, draw), text=text)
        if draw.keep(normalise(user)):
            return _turn(draw, user, {key: data[key] for key in keys}, "json_person")


def _and(items: list[str], draw: Draw) -> str:
    if draw.chance(0.3):
        return ", ".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else items[0]


_LIST_ASKS = ("Give {q} as a JSON list.", "{q} as a JSON array", "Write {q} as a JSON list.",
              "List {q} as JSON.", "Return {q} as a JSON array.", "Give me {q} as JSON.",
              "Turn {q} into a JSON list.", "Make a JSON array of {q}.")  # fmt: skip


def listing(draw: Draw) -> Turn:
    """A list of words or numbers as an array."""
    while True:
        kind = draw.random()
        items: list[Any]
        if kind < 0.15:
            subject, items = "the weekdays", list(world.WEEKDAYS)
        elif kind < 0.25:
            subject, items = "the months", list(world.MONTHS)
        elif kind < 0.3:
            subject, items = "the seasons", list(world.CATEGORIES["seasons"])
        elif kind < 0.45:
            first = draw.below(20)
            items = list(range(first, first + 3 + draw.below(8)))
            subject = f"the numbers from {items[0]} to {items[-1]}"
        elif kind < 0.6:
            items = [draw.below(100) for _ in range(2 + draw.below(5))]
            subject = _and([str(n) for n in items], draw)
        else:
            items = [_item(draw) for _ in range(2 + draw.below(4))]
            subject = _and(items, draw)
        user = capitalise(draw.choice(_LIST_ASKS).replace("{q}", subject))
        if draw.keep(normalise(user)):
            return _turn(draw, user, items, "json_list")


def _item(draw: Draw) -> str:
    """A word that is a string in JSON too."""
    item = _any_item(draw)
    return _item(draw) if item in ("true", "false", "null") else item


def _any_item(draw: Draw) -> str:
    return draw.choice(draw.choice((WORDS, NAMES, CITIES))) if draw.chance(0.9) else made_up(draw)


_WORD_ASKS = (
    ("letters", ("Give the number of letters of {w} as JSON.",
                 "How many letters has {w}? Use JSON.",
                 "How many letters are in {w}? Answer as JSON.")),
    ("reversed", ("Give {w} reversed as JSON.", "Reverse {w} and answer as JSON.",
                  "What is {w} backwards? Answer as JSON.")),
    ("upper", ("Give {w} in upper case as JSON.", "Write {w} in capitals, as JSON.")),
    ("first", ("Give the first letter of {w} as JSON.", "First letter of {w}? As JSON.")),
)  # fmt: skip


def word(draw: Draw) -> Turn:
    """Something about a word's letters as an object."""
    while True:
        text = draw.choice(WORDS)
        key, asks = draw.choice(_WORD_ASKS)
        values: dict[str, Any] = {
            "letters": len(text), "reversed": text[::-1], "upper": text.upper(), "first": text[0],
        }  # fmt: skip
        user = draw.choice(asks).replace("{w}", text)
        if draw.keep(normalise(user)):
            break
    answer = {"word": text, key: values[key]}
    turn = _turn(draw, user, answer, "json_word")
    if key in ("reversed", "upper"):
        turn.reply = turn.reply.replace(f'"{values[key]}"', f'"{letters(values[key])}"')
    return turn


_OBJECT_ASKS = ("Write as JSON: {p}", "Turn this into JSON: {p}", "JSON: {p}",
                "Make a JSON object: {p}", "Make JSON with {p}.", "Give a JSON object with {p}.",
                "As JSON: {p}")  # fmt: skip


def pairs(draw: Draw) -> Turn:
    """Keys and values that the user lists."""
    while True:
        data: dict[str, Any] = {}
        for _ in range(1 + draw.below(4)):
            value: Any = draw.below(1000) if draw.chance(0.4) else _item(draw)
            data[draw.choice(NOUNS)] = value
        if any(str(value) in data for value in data.values()):
            continue
        style = draw.choice(("{} = {}", "{}: {}", "{} {}", "{} is {}"))
        listed = [style.format(key, value) for key, value in data.items()]
        user = draw.choice(_OBJECT_ASKS).replace("{p}", ", ".join(listed))
        if draw.keep(normalise(user)):
            return _turn(draw, user, data, "json_pairs")


_ORDER_ASKS = ("{t} As JSON.", "As JSON: {t}", "Turn the order into JSON: {t}",
               "{t} Give it as JSON.", "Extract the items as JSON: {t}")  # fmt: skip
_ORDER_TEXTS = ("I want {i}.", "Please bring {i}.", "We need {i}.", "She bought {i}.",
                "There are {i}.", "I have {i}.")  # fmt: skip


def order(draw: Draw) -> Turn:
    """How many of what."""
    while True:
        nouns = draw.sample([n for n in world.PLURALS if n[0] != n[1]], 1 + draw.below(3))
        data = {plural: 2 + draw.below(19) for _, plural in nouns}
        items = _and([f"{count} {noun}" for noun, count in data.items()], draw)
        text = draw.choice(_ORDER_TEXTS).replace("{i}", items)
        user = draw.choice(_ORDER_ASKS).replace("{t}", text)
        if draw.keep(normalise(user)):
            return _turn(draw, user, data, "json_order")


FAMILIES = (
    (fact, 2.5),
    (arithmetic, 2.0),
    (person, 3.5),
    (listing, 1.5),
    (word, 1.0),
    (pairs, 2.0),
    (order, 1.0),
)
