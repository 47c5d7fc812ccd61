"""The relations between things that the pocket model is taught."""

from __future__ import annotations

from . import rows, world
from .core import article, capitalise
from .facts import Relation, Row, phrasings

__all__ = ["RELATIONS"]


def _relation(
    name: str, weight: float, rows: list[Row], asks: str, follows: tuple[str, ...] = ()
) -> Relation:
    return Relation(name, weight, phrasings(asks), tuple(rows), follows)


_THINGS_WITH_ARTICLE, _THINGS_WITHOUT = rows.kinds()

_AND = ("And {x}?", "What about {x}?", "How about {x}?")
_AND_OF = ("And of {x}?", "And {x}?", "What about {x}?", "And for {x}?", "Now {x}.", "{x}?")
_AND_A = ("And {ax}?", "What about {ax}?", "How about {ax}?", "And for {ax}?")

_PLACES = (
    _relation("capital", 5, rows.capitals(), """what is the capital of {x}?
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
    _relation("country", 1.5, rows.countries_of_capitals(), """which country has the capital {x}?
        {x} is the capital of which country?
        {x} is the capital of what?
        what country is {x} the capital of?
        of which country is {x} the capital?
        in which country is {x}?
        where is {x}?
        what country is {x} in?""", _AND),
    _relation("continent", 1.5, rows.continents(), """which continent is {x} in?
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
    _relation("day_after", 0.8, rows.neighbours(world.WEEKDAYS, 1, _AFTER),
        """what day comes after {x}?
        which day comes after {x}?
        what day follows {x}?
        which day follows {x}?
        what is the day after {x}?
        what comes after {x}?
        name the day after {x}.
        the day after {x} is""", ("And after {x}?", "What about after {x}?")),
    _relation("day_before", 0.8, rows.neighbours(world.WEEKDAYS, -1, _BEFORE),
        """what day comes before {x}?
        which day comes before {x}?
        what day is before {x}?
        what is the day before {x}?
        what comes before {x}?
        name the day before {x}.
        which day is right before {x}?""", ("And before {x}?", "What about before {x}?")),
    _relation("tomorrow", 0.6,
        rows.neighbours(world.WEEKDAYS, 1, "If today is {x}, tomorrow is {y}."),
        """if today is {x}, what day is tomorrow?
        if today is {x}, what is tomorrow?
        today is {x}. What day is tomorrow?
        it is {x} today. Which day is tomorrow?
        which day is tomorrow if today is {x}?
        what is tomorrow when today is {x}?"""),
    _relation("yesterday", 0.6,
        rows.neighbours(world.WEEKDAYS, -1, "If today is {x}, yesterday was {y}."),
        """if today is {x}, what day was yesterday?
        if today is {x}, what was yesterday?
        today is {x}. What day was yesterday?
        it is {x} today. Which day was yesterday?
        which day was yesterday if today is {x}?
        what was yesterday when today is {x}?"""),
    _relation("month_after", 0.8, rows.neighbours(world.MONTHS, 1, _AFTER),
        """what month comes after {x}?
        which month comes after {x}?
        what month follows {x}?
        which month follows {x}?
        what is the month after {x}?
        what comes after {x}?
        name the month after {x}.
        what is the next month after {x}?""", ("And after {x}?", "What about after {x}?")),
    _relation("month_before", 0.8, rows.neighbours(world.MONTHS, -1, _BEFORE),
        """what month comes before {x}?
        which month comes before {x}?
        what month is before {x}?
        what is the month before {x}?
        what comes before {x}?
        name the month before {x}.
        which month is right before {x}?""", ("And before {x}?", "What about before {x}?")),
    _relation("month_days", 0.8, rows.days_in_months(), """how many days does {x} have?
        how many days are in {x}?
        how many days are there in {x}?
        how long is {x}?
        how many days has {x}?
        number of days in {x}?
        what is the number of days in {x}?""", _AND),
    _relation("month_number", 0.4, rows.numbered(world.MONTHS, "month of the year"),
        """what is the {x} month of the year?
        what is the {x} month?
        which month is the {x}?
        name the {x} month of the year.
        which is the {x} month?""", ("And the {x}?", "What about the {x}?")),
    _relation("day_number", 0.3, rows.numbered(world.WEEKDAYS, "day of the week"),
        """what is the {x} day of the week?
        which day of the week is the {x}?
        name the {x} day of the week.
        what is the {x} weekday?""", ("And the {x}?", "What about the {x}?")),
)  # fmt: skip

_THINGS = (
    _relation("colour", 2.5, rows.colours(), """what colour is {x}?
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
    _relation("unit", 2, rows.units(), """how many {x}?
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
    _relation("sound", 1.2, rows.sounds(), """what sound does {ax} make?
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
    _relation("home", 0.8, rows.homes(), """where does {ax} live?
        where can I find {ax}?
        what is the home of {ax}?
        where is {ax} at home?
        in which place does {ax} live?""", _AND_A),
    _relation("legs", 0.8, rows.legs(), """how many legs does {ax} have?
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
    _relation("opposite", 2.5, rows.opposites(), """what is the opposite of {x}?
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
    _relation("plural", 1, rows.forms(world.PLURALS, "The plural of {x} is {y}."),
        """what is the plural of {x}?
        plural of {x}?
        what is the plural form of {x}?
        tell me the plural of {x}.
        give me the plural of {x}.
        how do you write the plural of {x}?
        what is the plural of the word {x}?""", _AND_OF),
    _relation("past", 1, rows.forms(world.PAST_TENSES, "The past tense of {x} is {y}."),
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
