"""The rows of the relations: world tables turned into questions' words and answers."""

from __future__ import annotations

from collections.abc import Sequence

from . import world
from .core import article, capitalise, words
from .facts import Row

__all__ = [
    "capitals",
    "colours",
    "continents",
    "countries_of_capitals",
    "days_in_months",
    "forms",
    "homes",
    "kinds",
    "legs",
    "neighbours",
    "numbered",
    "opposites",
    "sounds",
    "units",
]


def capitals() -> list[Row]:
    """The capital of each country, also asked for without its "the"."""
    rows = []
    for country, (capital, _) in world.COUNTRIES.items():
        reply = f"The capital of {country} is {capital}."
        rows.append((country, reply, capital))
        if country.startswith("the "):  # people leave it out
            rows.append((country[4:], reply, capital))
    return rows


def countries_of_capitals() -> list[Row]:
    """The country of each capital."""
    inside_another = ("England", "Scotland", "Wales")
    return [
        (capital, f"{capital} is the capital of {country}.", country)
        for country, (capital, _) in world.COUNTRIES.items()
        if country not in inside_another and capital != country
    ]


def continents() -> list[Row]:
    """The continent of each country."""
    return [
        (country, f"{capitalise(country)} is in {continent}.", continent)
        for country, (capital, continent) in world.COUNTRIES.items()
        if country != capital
    ]


def colours() -> list[Row]:
    """The colour of each thing."""
    rows = [(x, f"{capitalise(x)} is {colour}.", colour) for x, colour in world.COLOURS[:-1]]
    return [*rows, ("a rainbow", "A rainbow has many colours.", "many")]


def neighbours(names: Sequence[str], step: int, pattern: str) -> list[Row]:
    """What stands ``step`` places further in a ring of names."""
    rows = []
    for i, name in enumerate(names):
        other = names[(i + step) % len(names)]
        rows.append((name, pattern.format(x=name, y=other), other))
    return rows


def days_in_months() -> list[Row]:
    """How long each month is."""
    rows = []
    for month in world.MONTHS:
        days = "30" if month in ("April", "June", "September", "November") else "31"
        rows.append((month, f"{month} has {days} days.", days))
    rows[1] = ("February", "February has 28 days, and 29 in a leap year.", "28")
    return rows


_ORDINALS = words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
)


def numbered(names: Sequence[str], what: str) -> list[Row]:
    """The first, the second ... of some names."""
    return [
        (ordinal, f"The {ordinal} {what} is {name}.", name)
        for ordinal, name in zip(_ORDINALS, names, strict=False)
    ]


def units() -> list[Row]:
    """How many of one unit make another."""
    return [
        (f"{small} are in {big}", f"There are {count} {small} in {big}.", count)
        for count, small, big in world.UNITS
    ]


def opposites() -> list[Row]:
    """Opposites both ways, where the way back is clear."""
    seconds = [b for _, b in world.OPPOSITES]
    firsts = {a for a, _ in world.OPPOSITES}
    pairs = [*world.OPPOSITES]
    pairs += [(b, a) for a, b in world.OPPOSITES if b not in firsts and seconds.count(b) == 1]
    return [(x, f"The opposite of {x} is {y}.", y) for x, y in pairs]


def sounds() -> list[Row]:
    """What each animal says."""
    rows = []
    for name, sound, *_ in world.ANIMALS:
        an_animal = capitalise(article(name))
        silent = sound == "nothing"
        reply = f"{an_animal} makes no sound." if silent else f"{an_animal} says {sound}."
        rows.append((name, reply, "none" if silent else sound))
    return rows


def homes() -> list[Row]:
    """Where each animal lives."""
    rows = []
    for name, _, _, home, *_ in world.ANIMALS:
        place = "on" if home in ("the ice", "the savanna", "a farm") else "in"
        rows.append((name, f"{capitalise(article(name))} lives {place} {home}.", home))
    return rows


def legs() -> list[Row]:
    """How many legs each animal has."""
    return [
        (name, f"{capitalise(article(name))} has {'no' if legs == '0' else legs} legs.", legs)
        for name, _, _, _, legs, _ in world.ANIMALS
    ]


def forms(pairs: list[tuple[str, ...]], pattern: str) -> list[Row]:
    """Word forms in a sentence."""
    return [(x, pattern.format(x=x, y=y), y) for x, y in pairs]


_SINGULAR = {
    "fruits": "a fruit", "vegetables": "a vegetable", "birds": "a bird", "animals": "an animal",
    "insects": "an insect", "instruments": "a musical instrument", "tools": "a tool",
    "drinks": "a drink", "vehicles": "a vehicle", "clothes": "a thing to wear",
    "flowers": "a flower", "trees": "a kind of tree", "shapes": "a shape", "sports": "a sport",
    "metals": "a metal", "colours": "a colour", "planets": "a planet", "feelings": "a feeling",
    "furniture": "a piece of furniture", "rooms": "a room", "buildings": "a building",
    "body parts": "a part of the body", "foods": "a food", "materials": "a material",
    "seasons": "a season", "rivers": "a river", "languages": "a language",
}  # fmt: skip
_NO_ARTICLE = (
    "drinks", "sports", "metals", "colours", "planets", "feelings", "seasons", "languages",
    "materials",
)  # fmt: skip
_MASS = ("bread", "cheese", "soup", "rice", "pasta", "butter", "lightning", "pizza")


def kinds() -> tuple[list[Row], list[Row]]:
    """What things are, from their category: those with an article, those without."""
    taken = {word for word, _ in world.DEFINITIONS}
    with_article, without = [], []
    for category, kind in _SINGULAR.items():
        for member in world.CATEGORIES[category]:
            if member in taken:
                continue
            taken.add(member)
            if category == "rivers":
                without.append((f"the {member}", f"The {member} is {kind}.", kind))
            elif category in _NO_ARTICLE or member in _MASS:
                without.append((member, f"{capitalise(member)} is {kind}.", kind))
            else:
                with_article.append((member, f"{capitalise(article(member))} is {kind}.", kind))
    for name, *_ in world.ANIMALS:
        if name not in taken:
            with_article.append((name, f"{capitalise(article(name))} is an animal.", "an animal"))
    for country, (capital, continent) in world.COUNTRIES.items():
        if country != capital:
            reply = f"{capitalise(country)} is a country in {continent}."
            without.append((country, reply, "a country"))
    return with_article, without
