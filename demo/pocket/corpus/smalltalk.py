"""Turns of small talk, drawn from the intents."""

from __future__ import annotations

from .core import Draw, Turn
from .intents import ABOUT_SELF, SMALL_TALK
from .lexicon import ADJECTIVES, CITIES, NOUNS
from .verses import joke, poem, riddle

__all__ = ["FAMILIES", "about_self", "small_talk"]

Intent = tuple[tuple[str, ...], tuple[str, ...]]


def _parse(text: str) -> tuple[Intent, ...]:
    intents = []
    for block in text.strip().split("\n\n"):
        asks, replies = (" ".join(half.split()) for half in block.split("\n= "))
        intents.append((_alternatives(asks), _alternatives(replies)))
    return tuple(intents)


def _alternatives(text: str) -> tuple[str, ...]:
    return tuple(option.strip().replace(" / ", "\n") for option in text.split("|"))


_SELF, _TALK = _parse(ABOUT_SELF), _parse(SMALL_TALK)
_TALK_WEIGHTS = [2.0 + len(asks) / 10 for asks, _ in _TALK]


def _turn(draw: Draw, intent: Intent, family: str) -> Turn:
    asks, replies = intent
    user = draw.choice(asks)
    if "{" in user:
        user = user.format(
            noun=draw.choice(NOUNS), adjective=draw.choice(ADJECTIVES), city=draw.choice(CITIES)
        )
    return Turn(user, draw.choice(replies), family=family)


def about_self(draw: Draw) -> Turn:
    """Who and what the model is."""
    return _turn(draw, draw.choice(_SELF), "about_self")


def small_talk(draw: Draw) -> Turn:
    """Greetings, feelings, thanks and the like."""
    return _turn(draw, draw.choices(_TALK, _TALK_WEIGHTS)[0], "small_talk")


FAMILIES = (
    (about_self, 3.0),
    (small_talk, 6.0),
    (joke, 0.8),
    (riddle, 0.4),
    (poem, 0.8),
)
