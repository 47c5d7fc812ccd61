"""The relations between things that the pocket model is taught."""

from __future__ import annotations

from collections.abc import Sequence

from . import world
from .core import article, capitalise, words
from .facts import Relation, Row, phrasings

__all__ = ["RELATIONS"]


def _capitals() -> list[Row]:
    rows = []
    for country, (capital, _) in world.COUNTRIES.items():
        reply = f"The capital of {country} is {capital}."
        rows.append((country, reply, capital))
        if country.startswith("the "):  # people leave it out
            rows.append((country[4:], reply, capital))
    return rows


def _countries_of_capitals() -> list[Row]:
    inside_another = ("England", "Scotland", "Wales")
    return [
        (capital, f"{capital} is the capital of {country}.", country)
        for country, (capital, _) in world.COUNTRIES.items()
        if country not in inside_another and capital != country
    ]


def _continents() -> list[Row]:
    return [
        (country, f"{capitalise(country)} is in {continent}.", continent)
        for country, (capital, continent) in world.COUNTRIES.items()
        if country != capital
    ]


def _colours() -> list[Row]:
    rows = [(x, f"{capitalise(x)} is {colour}.", colour) for x, colour in world.COLOURS[:-1]]
    return [*rows, ("a rainbow", "A rainbow has many colours.", "many")]


def _neighbours(names: Sequence[str], step: int, pattern: str) -> list[Row]:
    rows = []
    for i, name in enumerate(names):
        other = names[(i + step) % len(names)]
        rows.append((name, pattern.format(x=name, y=other), other))
    return rows


def _days_in_months() -> list[Row]:
    rows = []
    for month in world.MONTHS:
        days = "30" if month in ("April", "June", "September", "November") else "31"
        rows.append((month, f"{month} has {days} days.", days))
    rows[1] = ("February", "February has 28 days, and 29 in a leap year.", "28")
    return rows


_ORDINALS = words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
)


def _numbered(names: Sequence[str], what: str) -> list[Row]:
    return [
        (ordinal, f"The {ordinal} {what} is {name}.", name)
        for ordinal, name in zip(_ORDINALS, names, strict=False)
    ]


def _units() -> list[Row]:
    rows = []
    for count, small, big in world.UNITS:
        verb = "is" if count == "1" else "are"
        rows.append((f"{small} are in {big}", f"There {verb} {count} {small} in {big}.", count))
    return rows


def _opposites() -> list[Row]:
    seconds = [b for _, b in world.OPPOSITES]
    firsts = {a for a, _ in world.OPPOSITES}
    pairs = [*world.OPPOSITES]
    pairs += [(b, a) for a, b in world.OPPOSITES if b not in firsts and seconds.count(b) == 1]
    return [(x, f"The opposite of {x} is {y}.", y) for x, y in pairs]


def _sounds() -> list[Row]:
    rows = []
    for name, sound, *_ in world.ANIMALS:
        an_animal = capitalise(article(name))
        silent = sound == "nothing"
        reply = f"{an_animal} makes no sound." if silent else f"{an_animal} says {sound}."
        rows.append((name, reply, "none" if silent else sound))
    return rows


def _homes() -> list[Row]:
    rows = []
    for name, _, _, home, *_ in world.ANIMALS:
        place = "on" if home in ("the ice", "the savanna", "a farm") else "in"
        rows.append((name, f"{capitalise(article(name))} lives {place} {home}.", home))
    return rows


def _legs() -> list[Row]:
    return [
        (name, f"{capitalise(article(name))} has {'no' if legs == '0' else legs} legs.", legs)
        for name, _, _, _, legs, _ in world.ANIMALS
    ]


def _forms(pairs: list[tuple[str, ...]], pattern: str) -> list[Row]:
    return [(x, pattern.format(x=x, y=y), y) for x, y in pairs]


def _relation(
    name: str, weight: float, rows: list[Row], asks: str, follows: tuple[str, ...] = ()
) -> Relation:
    return Relation(name, weight, phrasings(asks), tuple(rows), follows)


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


def _is_a() -> tuple[list[Row], list[Row]]:
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


_THINGS_WITH_ARTICLE, _THINGS_WITHOUT = _is_a()

_AND = ("And {x}?", "What about {x}?", "How about {x}?")
_AND_OF = ("And of {x}?", "And {x}?", "What about {x}?", "And for {x}?", "Now {x}.", "{x}?")
_AND_A = ("And {ax}?", "What about {ax}?", "How about {ax}?", "And for {ax}?")

_PLACES = (
    _relation("capital", 5, _capitals(), """what is the capital of {x}?
        what is the capital city of {x}?
        what's the capital of {x}?
        name the capital of {x}.
        tell me the capital of {x}.
        which city is the capital of {x}?
        what city is the capital of {x}?
        capital of {x}?
        the capital of {x} is
        {x}: what is its capital?
        do you know the capital of {x}?
        I forgot the capital of {x}. What is it?
        give me the capital of {x}.
        what do you call the capital of {x}?
        {x} has which capital?""", (*_AND_OF, "And the capital of {x}?")),
    _relation("country", 1.5, _countries_of_capitals(), """which country has the capital {x}?
        {x} is the capital of which country?
        {x} is the capital of what?
        what country is {x} the capital of?
        of which country is {x} the capital?
        in which country is {x}?
        where is {x}?
        what country is {x} in?""", _AND),
    _relation("continent", 1.5, _continents(), """which continent is {x} in?
        on which continent is {x}?
        what continent is {x} in?
        what continent does {x} belong to?
        in which part of the world is {x}?
        where is {x}?
        where in the world is {x}?
        name the continent of {x}.""", _AND),
)  # fmt: skip

_AFTER, _BEFORE = "{y} comes after {x}.", "{y} comes before {x}."
_CALENDAR = (
    _relation("day_after", 0.8, _neighbours(world.WEEKDAYS, 1, _AFTER),
        """what day comes after {x}?
        which day comes after {x}?
        what day follows {x}?
        which day follows {x}?
        what is the day after {x}?
        what comes after {x}?
        name the day after {x}.
        the day after {x} is""", ("And after {x}?", "What about after {x}?")),
    _relation("day_before", 0.8, _neighbours(world.WEEKDAYS, -1, _BEFORE),
        """what day comes before {x}?
        which day comes before {x}?
        what day is before {x}?
        what is the day before {x}?
        what comes before {x}?
        name the day before {x}.
        which day is right before {x}?""", ("And before {x}?", "What about before {x}?")),
    _relation("tomorrow", 0.6,
        _neighbours(world.WEEKDAYS, 1, "If today is {x}, tomorrow is {y}."),
        """if today is {x}, what day is tomorrow?
        if today is {x}, what is tomorrow?
        today is {x}. What day is tomorrow?
        it is {x} today. Which day is tomorrow?
        which day is tomorrow if today is {x}?
        what is tomorrow when today is {x}?"""),
    _relation("yesterday", 0.6,
        _neighbours(world.WEEKDAYS, -1, "If today is {x}, yesterday was {y}."),
        """if today is {x}, what day was yesterday?
        if today is {x}, what was yesterday?
        today is {x}. What day was yesterday?
        it is {x} today. Which day was yesterday?
        which day was yesterday if today is {x}?
        what was yesterday when today is {x}?"""),
    _relation("month_after", 0.8, _neighbours(world.MONTHS, 1, _AFTER),
        """what month comes after {x}?
        which month comes after {x}?
        what month follows {x}?
        which month follows {x}?
        what is the month after {x}?
        what comes after {x}?
        name the month after {x}.
        what is the next month after {x}?""", ("And after {x}?", "What about after {x}?")),
    _relation("month_before", 0.8, _neighbours(world.MONTHS, -1, _BEFORE),
        """what month comes before {x}?
        which month comes before {x}?
        what month is before {x}?
        what is the month before {x}?
        what comes before {x}?
        name the month before {x}.
        which month is right before {x}?""", ("And before {x}?", "What about before {x}?")),
    _relation("month_days", 0.8, _days_in_months(), """how many days does {x} have?
        how many days are in {x}?
        how many days are there in {x}?
        how long is {x}?
        how many days has {x}?
        number of days in {x}?
        what is the number of days in {x}?""", _AND),
    _relation("month_number", 0.4, _numbered(world.MONTHS, "month of the year"),
        """what is the {x} month of the year?
        what is the {x} month?
        which month is the {x}?
        name the {x} month of the year.
        which is the {x} month?""", ("And the {x}?", "What about the {x}?")),
    _relation("day_number", 0.3, _numbered(world.WEEKDAYS, "day of the week"),
        """what is the {x} day of the week?
        which day of the week is the {x}?
        name the {x} day of the week.
        what is the {x} weekday?""", ("And the {x}?", "What about the {x}?")),
)  # fmt: skip

_THINGS = (
    _relation("colour", 2.5, _colours(), """what colour is {x}?
        what color is {x}?
        what is the colour of {x}?
        what is the color of {x}?
        which colour does {x} have?
        which color is {x}?
        what colour does {x} have?
        tell me the colour of {x}.
        {x} has which colour?
        name the colour of {x}.
        colour of {x}?
        do you know what colour {x} is?""", (*_AND, "And the colour of {x}?")),
    _relation("unit", 2, _units(), """how many {x}?
        do you know how many {x}?
        tell me how many {x}.
        can you say how many {x}?
        I want to know how many {x}.
        please say how many {x}.""", ("And how many {x}?",)),
    _relation("definition", 2, [
        *((x, f"{capitalise(article(x))} is {y}.", y) for x, y in world.DEFINITIONS),
        *_THINGS_WITH_ARTICLE],
        """what is {ax}?
        what's {ax}?
        what does the word {x} mean?
        define {x}.
        explain what {ax} is.
        tell me what {ax} is.
        do you know what {ax} is?
        what does {x} mean?""", _AND_A),
    _relation("is_a", 1, _THINGS_WITHOUT, """what is {x}?
        what's {x}?
        explain what {x} is.
        tell me what {x} is.
        do you know what {x} is?
        tell me about {x}.""", _AND),
)  # fmt: skip

_ANIMALS = (
    _relation("sound", 1.2, _sounds(), """what sound does {ax} make?
        what does {ax} say?
        which sound does {ax} make?
        what is the sound of {ax}?
        how does {ax} sound?
        what noise does {ax} make?
        tell me the sound of {ax}.""", _AND_A),
    _relation("young", 1.2, [
        (n, f"A young {n} is called {article(y)}.", y) for n, _, y, *_ in world.ANIMALS],
        """what is a young {x} called?
        what is a baby {x} called?
        what do you call a baby {x}?
        what do you call a young {x}?
        what is the name of a young {x}?
        how is a baby {x} called?
        name the young of {ax}.""", ("And a young {x}?", "And a baby {x}?", *_AND_A)),
    _relation("home", 0.8, _homes(), """where does {ax} live?
        where can I find {ax}?
        what is the home of {ax}?
        where is {ax} at home?
        in which place does {ax} live?""", _AND_A),
    _relation("legs", 0.8, _legs(), """how many legs does {ax} have?
        how many legs has {ax}?
        how many legs are there on {ax}?
        tell me how many legs {ax} has.
        what is the number of legs of {ax}?
        number of legs of {ax}?""", _AND_A),
    _relation("kind", 0.6, [
        (n, f"{capitalise(article(n))} is {article(g)}.", g) for n, *_, g in world.ANIMALS],
        """what kind of animal is {ax}?
        what sort of animal is {ax}?
        which kind of animal is {ax}?
        to which group of animals does {ax} belong?
        what type of animal is {ax}?""", _AND_A),
)  # fmt: skip

_TRANSLATE = """how do you say {x} in LANGUAGE?
    what is {x} in LANGUAGE?
    what is the LANGUAGE word for {x}?
    translate {x} to LANGUAGE.
    translate {x} into LANGUAGE.
    {x} in LANGUAGE?
    say {x} in LANGUAGE."""

_LANGUAGE = (
    _relation("opposite", 2.5, _opposites(), """what is the opposite of {x}?
        what's the opposite of {x}?
        opposite of {x}?
        name the opposite of {x}.
        tell me the opposite of {x}.
        give me the opposite of {x}.
        which word means the opposite of {x}?
        what word is the opposite of {x}?
        what is the contrary of {x}?
        what is the antonym of {x}?
        give an antonym of {x}.""", (*_AND_OF, "And the opposite of {x}?")),
    _relation("plural", 1, _forms(world.PLURALS, "The plural of {x} is {y}."),
        """what is the plural of {x}?
        plural of {x}?
        what is the plural form of {x}?
        tell me the plural of {x}.
        give me the plural of {x}.
        how do you write the plural of {x}?
        what is the plural of the word {x}?""", _AND_OF),
    _relation("past", 1, _forms(world.PAST_TENSES, "The past tense of {x} is {y}."),
        """what is the past tense of {x}?
        past tense of {x}?
        what is the past of {x}?
        tell me the past tense of {x}.
        give me the past tense of {x}.
        what is the past form of {x}?
        what is the past tense of the verb {x}?""", _AND_OF),
    *(
        _relation(language.lower(), 0.5, [
            (row[0], f"In {language}, {row[0]} is {row[column]}.", row[column])
            for row in world.TRANSLATIONS],
            _TRANSLATE.replace("LANGUAGE", language), _AND)
        for column, language in enumerate(("French", "Spanish", "German", "Italian"), start=1)
    ),
)  # fmt: skip

RELATIONS = (*_PLACES, *_CALENDAR, *_THINGS, *_ANIMALS, *_LANGUAGE)
