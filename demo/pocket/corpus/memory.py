"""What was said earlier in the same chat: the user's name and other data, the last question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import world
from .core import Draw, Noise, Turn, article, capitalise, visible
from .lexicon import CITIES, JOBS, NAMES, WORDS, made_up

__all__ = ["Memory"]


@dataclass(frozen=True)
class _Slot:
    """One thing that a user may tell: how, what is answered, how it is asked for later."""

    name: str
    values: Callable[[Draw], str]
    tells: tuple[str, ...]
    heard: str
    asks: tuple[str, ...]
    known: str


def _name(draw: Draw) -> str:
    return draw.choice(NAMES) if draw.chance(0.8) else capitalise(made_up(draw))


_SLOTS = (
    _Slot("name", _name,
          ("My name is {}.", "I am {}.", "I'm {}.", "Call me {}.", "Hi, I am {}.",
           "Hello, my name is {}.", "Hi, my name is {}.", "You can call me {}.", "My name's {}",
           "Hello! I'm {}."),
          "Nice to meet you, {}!",
          ("What is my name?", "What's my name?", "Do you remember my name?", "Who am I?",
           "How am I called?", "Do you know my name?", "Say my name.", "Tell me my name.",
           "What did I say my name was?"),
          "Your name is {}."),
    _Slot("age", lambda d: str(5 + d.below(90)),
          ("I am {} years old.", "I'm {} years old.", "My age is {}.", "I am {}."),
          "You are {}, thank you for telling me.",
          ("How old am I?", "What is my age?", "Do you know my age?",
           "Do you remember how old I am?"),
          "You are {} years old."),
    _Slot("city", lambda d: d.choice(CITIES),
          ("I live in {}.", "I am from {}.", "I'm from {}.", "My home is {}.", "I come from {}."),
          "{} sounds like a good place to live.",
          ("Where do I live?", "Where am I from?", "Which city do I live in?",
           "Do you know where I live?"),
          "You live in {}."),
    _Slot("job", lambda d: d.choice(JOBS),
          ("I am {a}.", "I work as {a}.", "I'm {a}.", "My job is {}."),
          "Being {a} sounds interesting.",
          ("What is my job?", "What do I do?", "What do I work as?", "Do you know my job?"),
          "You are {a}."),
    _Slot("colour", lambda d: d.choice(world.CATEGORIES["colours"]),
          ("My favourite colour is {}.", "My favorite color is {}.", "I like the colour {} best."),
          "{} is a fine colour.",
          ("What is my favourite colour?", "What's my favorite color?", "Which colour do I like?",
           "Which colour do I like best?"),
          "Your favourite colour is {}."),
    _Slot("animal", lambda d: d.choice(world.ANIMALS)[0],
          ("My favourite animal is the {}.", "My favourite animal is {a}.", "I like the {} best."),
          "The {} is a fine animal.",
          ("What is my favourite animal?", "Which animal do I like?", "What's my favorite animal?"),
          "Your favourite animal is the {}."),
    _Slot("pet", _name,
          ("My cat is called {}.", "My dog is called {}.", "I have a cat called {}.",
           "My pet is called {}."),
          "{} is a good name for a pet.",
          ("What is my pet called?", "What is the name of my pet?", "Do you know my pet's name?",
           "How is my pet called?"),
          "Your pet is called {}."),
    _Slot("word", lambda d: d.choice(WORDS) if d.chance(0.7) else str(d.below(10000)),
          ("Remember the word {}.", "Remember this: {}", "Please remember {}.",
           "The secret word is {}.", "Keep this in mind: {}", "Remember {}"),
          "I will remember {}.",
          ("What should you remember?", "What did I ask you to remember?",
           "Which word did I tell you?", "What was the word?", "What is the secret word?",
           "Do you remember the word?"),
          "You asked me to remember {}."),
)  # fmt: skip

_LAST_QUESTION = (
    "What did I just ask?", "What was my last question?", "What did I say?", "What did I just say?",
    "What was my question?", "Repeat my question.", "What did I ask you?", "What did I write?",
)  # fmt: skip
_LAST_ANSWER = (
    "Repeat that.", "Say that again.", "Can you repeat that?", "What did you say?",
    "Repeat your answer.", "Pardon?", "Again, please.", "What did you just say?",
    "Once more, please.", "Come again?", "Repeat your last answer.", "Please repeat.",
)  # fmt: skip
_SHOUTED = ("Say that in upper case.", "In capitals, please.", "The same in upper case.",
            "Now in capital letters.", "Write that in capitals.", "Now in upper case.")  # fmt: skip


class Memory:
    """What one chat's user has told so far."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._last: tuple[str, str] | None = None

    def saw(self, user: str, reply: str) -> None:
        """Take note of a finished turn, as it stands in the chat."""
        self._last = (visible(user), visible(reply))

    def tell(self, draw: Draw) -> Turn:
        """The user tells something."""
        slot = draw.choices(_SLOTS, (4, 1, 1, 1, 1, 1, 1, 2))[0]
        value = slot.values(draw)
        self._told[slot.name] = value
        user = draw.choice(slot.tells).format(value, a=article(value))
        reply = capitalise(slot.heard.format(value, a=article(value)))
        return Turn(user, reply, noise=Noise.CASE, family="tell")

    def ask(self, draw: Draw) -> Turn:
        """The user asks for what was told, or for something that was not."""
        told = [slot for slot in _SLOTS if slot.name in self._told]
        if not told and draw.chance(0.75):
            return self.tell(draw)
        slot = draw.choice(told) if told and draw.chance(0.85) else draw.choice(_SLOTS)
        user = draw.choice(slot.asks)
        if slot.name not in self._told:
            return Turn(user, "You have not told me that yet.", "unknown", family="not_told")
        value = self._told[slot.name]
        return Turn(user, slot.known.format(value, a=article(value)), value, family="recall")

    def echo(self, draw: Draw) -> Turn:
        """The user asks what was just said."""
        if self._last is None:
            return Turn(draw.choice(_LAST_QUESTION), "This is your first question.", family="echo")
        user, reply = self._last
        kind = draw.random()
        if kind < 0.45 and "\n" not in user:
            return Turn(draw.choice(_LAST_QUESTION), f"You said: {user}", family="echo")
        if kind < 0.85 or len(reply) > 80 or reply.startswith(("{", "[")):
            return Turn(draw.choice(_LAST_ANSWER), reply, family="echo")
        return Turn(draw.choice(_SHOUTED), reply.upper(), family="echo")
