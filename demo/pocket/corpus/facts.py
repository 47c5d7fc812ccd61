"""Facts: every relation is a set of phrasings and a table of rows, its answer one fixed sentence.

Held out are whole questions (one phrasing of one row), so each row and each phrasing is seen in
training, but some of their pairs never are.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import world
from .core import Draw, Turn, article, capitalise, normalise

__all__ = ["Relation", "Row", "listing", "phrasings", "trivia", "yes_no"]

Row = tuple[str, str, str]
"""What {x} stands for in the question, the whole answer, the bare answer."""


def phrasings(text: str) -> tuple[str, ...]:
    """One phrasing a line."""
    return tuple(line.strip() for line in text.strip().splitlines())


@dataclass(frozen=True)
class Relation:
    """One kind of fact.

    Attributes:
        asks: questions with {x}, or {ax} for "a dog", "an ant".
        rows: the facts.
        follows: questions that lean on the one before.
        weight: share among the relations.
    """

    name: str
    weight: float
    asks: tuple[str, ...]
    rows: tuple[Row, ...]
    follows: tuple[str, ...] = ()

    def turn(self, draw: Draw) -> Turn:
        """A question that belongs to the drawn side of the split."""
        while True:
            x, reply, short = draw.choice(self.rows)
            user = _fill(draw.choice(self.asks), x)
            if draw.keep(normalise(user)):
                follow = self.follow if self.follows else None
                return Turn(user, reply, short, family=self.name, follow=follow)

    def follow(self, draw: Draw) -> Turn:
        """A question that leaves out what the one before it said."""
        x, reply, short = draw.choice(self.rows)
        user = _fill(draw.choice(self.follows), x)
        return Turn(user, reply, short, family=self.name, follow=self.follow)


def _fill(ask: str, x: str) -> str:
    if "{ax}" in ask:
        ask = ask.replace("{ax}", article(x))
    return capitalise(ask.replace("{x}", x))


_QUESTIONS = [
    (question, reply, short)
    for questions, reply, short in world.TRIVIA
    for question in questions.split("|")
]
_POLITE = ("{q}?", "{q}?", "Do you know this: {q}?", "A question: {q}?", "Tell me: {q}?")


def trivia(draw: Draw) -> Turn:
    """A question of general knowledge; each phrasing is its own row."""
    question, reply, short = draw.choice(_QUESTIONS)
    user = draw.choice(_POLITE).replace("{q}", question)
    return Turn(user, reply, short, family="trivia")


_CAPITALS = [(country, capital) for country, (capital, _) in world.COUNTRIES.items()]


def yes_no(draw: Draw) -> Turn:
    """A statement to agree with or to put right."""
    right = draw.chance(0.5)
    if draw.chance(0.5):
        country, capital = draw.choice(_CAPITALS)
        said = capital if right else draw.choice(_CAPITALS)[1]
        fact = f"the capital of {country} is {capital}."
        asks = [f"is {said} the capital of {country}?", f"is the capital of {country} {said}?",
                f"is it true that {said} is the capital of {country}?",
                f"{said} is the capital of {country}, right?",
                f"{said} is the capital of {country}.",
                f"{said} is the capital of {country}."]  # fmt: skip
        right = said == capital
    else:
        thing, colour = draw.choice(world.COLOURS[:-5])
        said = colour if right else draw.choice(("red", "blue", "green", "yellow", "black"))
        fact = f"{thing} is {colour}."
        asks = [f"is {thing} {said}?", f"is it true that {thing} is {said}?",
                f"{thing} is {said}, right?", f"{thing} is {said}.",
                f"is the colour of {thing} {said}?"]  # fmt: skip
        right = said == colour
    short = "Yes" if right else "No"
    return Turn(capitalise(draw.choice(asks)), f"{short}, {fact}", short, family="yes_no")


_COUNTS = ("two", "three", "four", "five", "six")
_LIST_ASKS = phrasings("""name {n} {c}.
    list {n} {c}.
    give me {n} {c}.
    tell me {n} {c}.
    can you name {n} {c}?
    which {n} {c} do you know?
    I need {n} {c}.
    write down {n} {c}.
    say {n} {c}""")
_SOME_ASKS = phrasings("""name some {c}.
    list some {c}.
    give me a list of {c}.
    which {c} do you know?
    tell me some {c}.""")
_MEMBER_ASKS = phrasings("""is {ax} one of the {c}?
    does {x} belong to the {c}?
    is {x} in the group of {c}?""")


def listing(draw: Draw) -> Turn:
    """Name three fruits; or: does the apple belong to the fruits?"""
    category = draw.choice(list(world.CATEGORIES))
    members = world.CATEGORIES[category]
    if draw.chance(0.2):
        return _membership(draw, category)
    if draw.chance(0.2):
        count, user = 3, draw.choice(_SOME_ASKS)
    else:
        index = draw.below(min(len(_COUNTS), len(members) - 1))
        count = index + 2
        number = _COUNTS[index] if draw.chance(0.6) else str(count)
        user = draw.choice(_LIST_ASKS).replace("{n}", number)
    chosen = draw.sample(members, count)
    reply = f"{', '.join(chosen[:-1])} and {chosen[-1]}."
    user = capitalise(user.replace("{c}", category))
    return Turn(user, capitalise(reply), family="listing")


def _membership(draw: Draw, category: str) -> Turn:
    belongs = draw.chance(0.5)
    other = category if belongs else draw.choice(list(world.CATEGORIES))
    member = draw.choice(world.CATEGORIES[other])
    belongs = member in world.CATEGORIES[category]
    user = _fill(draw.choice(_MEMBER_ASKS), member).replace("{c}", category)
    short = "Yes" if belongs else "No"
    verb = "belongs" if belongs else "does not belong"
    reply = f"{short}, {member} {verb} to the {category}."
    return Turn(user, reply, short, family="listing")
