"""Short texts with a question about them: the answer stands in the text."""

from __future__ import annotations

from collections.abc import Callable

from . import world
from .core import Draw, Noise, Turn, article, capitalise
from .lexicon import CITIES, JOBS, NAMES, NOUNS, WORDS, made_up

__all__ = ["FAMILIES", "Statement", "statement"]

Statement = tuple[str, str, str, str]
"""A sentence, a question about it, the whole answer, the bare answer."""


def _person(draw: Draw) -> str:
    return draw.choice(NAMES) if draw.chance(0.9) else capitalise(made_up(draw))


def _thing(draw: Draw) -> str:
    kind = draw.random()
    return draw.choice(NOUNS if kind < 0.6 else WORDS) if kind < 0.85 else made_up(draw)


def _has(draw: Draw) -> Statement:
    name = _person(draw)
    _, plural = draw.choice(world.PLURALS)
    count = str(2 + draw.below(98))
    said = f"{name} has {count} {plural}."
    return said, f"How many {plural} does {name} have?", said, count


def _lives(draw: Draw) -> Statement:
    name, city = _person(draw), draw.choice(CITIES)
    said = f"{name} lives in {city}."
    ask = draw.choice((f"Where does {name} live?", f"In which city does {name} live?"))
    return said, ask, said, city


def _works(draw: Draw) -> Statement:
    name, job = _person(draw), draw.choice(JOBS)
    said = f"{name} is {article(job)}."
    ask = draw.choice(
        (f"What is {name}'s job?", f"What does {name} do?", f"What job does {name} have?")
    )
    return said, ask, said, job


def _likes(draw: Draw) -> Statement:
    name, colour = _person(draw), draw.choice(world.CATEGORIES["colours"])
    said = f"{name} likes {colour}."
    ask = draw.choice((f"Which colour does {name} like?", f"What does {name} like?"))
    return said, ask, said, colour


def _old(draw: Draw) -> Statement:
    name, age = _person(draw), str(1 + draw.below(99))
    said = f"{name} is {age} years old."
    return said, draw.choice((f"How old is {name}?", f"What is {name}'s age?")), said, age


def _where(draw: Draw) -> Statement:
    thing, place = _thing(draw), draw.choice(NOUNS)
    side = draw.choice(("in", "on", "under", "behind", "near"))
    said = f"The {thing} is {side} the {place}."
    ask = draw.choice((f"Where is the {thing}?", f"Where can I find the {thing}?"))
    return said, ask, said, f"{side} the {place}"


def _colour(draw: Draw) -> Statement:
    thing, colour = _thing(draw), draw.choice(world.CATEGORIES["colours"])
    said = f"The {thing} is {colour}."
    return said, f"What colour is the {thing}?", said, colour


def _secret(draw: Draw) -> Statement:
    what = draw.choice(("password", "secret word", "code", "code word", "magic word", "key word"))
    value = str(draw.below(10000)) if draw.chance(0.3) else _thing(draw)
    said = f"The {what} is {value}."
    ask = draw.choice((f"What is the {what}?", f"Tell me the {what}.", f"Which {what} is it?"))
    return said, ask, said, value


def _opens(draw: Draw) -> Statement:
    place = draw.choice(
        ("shop", "bakery", "library", "museum", "school", "office", "market", "park")
    )
    hour = str(6 + draw.below(6))
    said = f"The {place} opens at {hour}."
    return said, f"When does the {place} open?", said, hour


_KINDS: tuple[Callable[[Draw], Statement], ...] = (
    _has, _lives, _works, _likes, _old, _where, _colour, _secret, _opens,
)  # fmt: skip


def statement(draw: Draw) -> Statement:
    """One statement and its question."""
    return draw.choice(_KINDS)(draw)


_SHAPES = ("{text} {ask}", "{text}\n{ask}", "{text}\n\n{ask}", "Text: {text}\nQuestion: {ask}",
           "{ask} {text}", "Read this: {text} {ask}", "{text} Question: {ask}")  # fmt: skip


def reading(draw: Draw) -> Turn:
    """One to four statements, one question; now and then one that the text does not answer."""
    statements = [statement(draw) for _ in range(1 + draw.below(4))]
    chosen = draw.choice(statements)
    ask, reply, short = chosen[1:]
    if draw.chance(0.12):
        name = draw.choice(NAMES)
        if not any(name in said for said, *_ in statements):
            ask, reply, short = f"How old is {name}?", "The text does not say that.", "unknown"
    if sum(said.split()[:2] == chosen[0].split()[:2] for said, *_ in statements) > 1:
        return reading(draw)  # two statements about the same thing
    text = " ".join(said for said, *_ in statements)
    user = draw.choice(_SHAPES).format(text=text, ask=ask)
    return Turn(user, reply, short, noise=Noise.CASE, family="reading")


FAMILIES = ((reading, 1.0),)
