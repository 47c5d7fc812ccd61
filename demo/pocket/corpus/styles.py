"""System prompts that the pocket model obeys, and what each does to an answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from .core import LETTERS_OFF, LETTERS_ON, Draw, Turn, article, capitalise
from .lexicon import ADJECTIVES, JOBS, NAMES, TOPICS, WORDS
from .reading import statement

__all__ = ["NEUTRAL", "PLAIN", "Style", "draw_style", "inline_short"]


@dataclass(frozen=True)
class Style:
    """A system prompt, what it makes of a turn's answer (None: it does not suit that turn), and
    questions that only make sense under it."""

    system: str | None
    apply: Callable[[Turn], str | None]
    own: tuple[Turn, ...] = ()


def _plain(turn: Turn) -> str | None:
    return turn.reply


PLAIN = Style(None, _plain)

NEUTRAL = (
    "You are a helpful assistant.", "You are a friendly assistant.", "You are the pocket model.",
    "You are a small language model.", "Be helpful.", "Answer the user's questions.",
    "Be kind and brief.", "You are an assistant.", "Answer truthfully.",
    "You are a helpful, respectful and honest assistant.", "Help the user.",
    "You are a chat bot in a web page.", "Give short answers.", "Keep it simple.",
    "You are a helpful AI assistant.", "Answer politely.", "You answer questions.",
)  # fmt: skip
_UPPER = ("Answer in upper case.", "Write everything in capital letters.", "Use only upper case.",
          "Answer in capitals.", "You always shout: use upper case.", "Reply in ALL CAPS.",
          "Speak in capital letters.", "Answer only in upper case.")  # fmt: skip
_LOWER = ("Answer in lower case.", "Write everything in small letters.", "Use only lower case.",
          "Never use capital letters.", "Reply in lower case.")  # fmt: skip
_SHORT = ("Answer with one word.", "Answer in one word.", "One word answers only.",
          "Only give the answer.", "Answer as short as possible.", "Give only the result.",
          "Reply with a single word.", "No sentences, only the answer.",
          "Use as few words as possible.")  # fmt: skip
_JSON = ("Answer in JSON.", "Always answer with JSON.", "Reply only with a JSON object.",
         'Answer as JSON with the key "answer".', "Your answers are JSON.",
         "You are a service that returns JSON.")  # fmt: skip
_PIRATE = ("You are a pirate.", "Talk like a pirate.", "Answer like a pirate.",
           "You are a pirate captain.", "Speak as a pirate would.",
           "Pretend to be a pirate.")  # fmt: skip
_ROBOT = (
    "You are a robot.",
    "Talk like a robot.",
    "Answer like a robot.",
    "Pretend to be a robot.",
)
_CAT = ("You are a cat.", "Talk like a cat.", "Answer like a cat.", "Pretend to be a cat.")
_BUTLER = ("You are a butler.", "Answer like a butler.", "Talk like an English butler.")


def _short(turn: Turn) -> str | None:
    return turn.short


def _json(turn: Turn) -> str | None:
    if turn.family.startswith("json") or LETTERS_ON in turn.reply or not turn.short:
        return None
    number = turn.short.lstrip("-").isdigit()
    return json.dumps({"answer": int(turn.short) if number else turn.short}, ensure_ascii=False)


def _upper(turn: Turn) -> str | None:
    return None if turn.family.startswith("json") else turn.reply.upper()


def _lower(turn: Turn) -> str | None:
    return None if turn.family.startswith("json") else turn.reply.lower()


def _dressed(before: str, after: str) -> Callable[[Turn], str | None]:
    def apply(turn: Turn) -> str | None:
        if turn.family.startswith("json") or turn.reply.endswith(LETTERS_OFF):
            return None
        stop = "" if turn.reply[-1] in ".!?" else "."
        return f"{before}{turn.reply}{stop}{after}"

    return apply


def _named(draw: Draw) -> Style:
    name = draw.choice(NAMES)
    system = draw.choice(("Your name is {}.", "You are {}.", "You are called {}.",
                          "You are {}, an assistant.", "Your name is {}. Be helpful."))  # fmt: skip
    asks = ("Who are you?", "What is your name?", "What's your name?", "What are you called?",
            "Your name?", "Tell me your name.", "Who is this?", "Introduce yourself.",
            "Who am I talking to?")  # fmt: skip
    own = tuple(Turn(ask, f"I am {name}.", name, family="own_name") for ask in asks)
    return Style(system.format(name), _plain, own)


def _user_named(draw: Draw) -> Style:
    name = draw.choice(NAMES)
    system = draw.choice(("The user is called {}.", "The user's name is {}.", "You talk to {}.",
                          "You are an assistant of {}.",
                          "The name of the user is {}."))  # fmt: skip
    own = (
        *(Turn(ask, f"Your name is {name}.", name, family="user_name")
          for ask in ("What is my name?", "Who am I?", "Do you know my name?",
                      "What am I called?")),
        *(Turn(ask, f"Hello, {name}! How can I help you?", family="user_name")
          for ask in ("Hello", "Hi", "Hello!", "Hi!", "Hey")),
    )  # fmt: skip
    return Style(system.format(name), _plain, own)


def _knowing(draw: Draw) -> Style:
    statements = [statement(draw) for _ in range(1 + draw.below(3))]
    keys = [tuple(said.split()[:2]) for said, *_ in statements]
    if len(set(keys)) < len(keys):
        return _knowing(draw)
    said = " ".join(s[0] for s in statements)
    system = f"{draw.choice(NEUTRAL)} {said}" if draw.chance(0.5) else said
    own = tuple(
        Turn(ask, reply, short, family="system_fact") for _, ask, reply, short in statements
    )
    return Style(system, _plain, own)


def _beginning(draw: Draw) -> Style:
    word = capitalise(draw.choice(WORDS))
    if draw.chance(0.5):
        system = draw.choice(("Start every answer with {}.", "Begin each answer with the word {}.",
                              "Always start with '{}'."))  # fmt: skip
        return Style(system.format(word), _dressed(f"{word}! ", ""))
    system = draw.choice(("End every answer with {}.", "Always end with the word {}.",
                          "Finish each answer with '{}'."))  # fmt: skip
    return Style(system.format(word), _dressed("", f" {word}!"))


_FIXED: tuple[tuple[tuple[str, ...], Callable[[Turn], str | None], float], ...] = (
    (NEUTRAL, _plain, 6.0),
    (_UPPER, _upper, 2.0),
    (_LOWER, _lower, 1.0),
    (_SHORT, _short, 3.0),
    (_JSON, _json, 1.5),
    (_PIRATE, _dressed("Arr! ", " Ahoy!"), 2.0),
    (_ROBOT, _dressed("Beep. ", " Boop."), 1.0),
    (_CAT, _dressed("Meow! ", " Purr."), 1.0),
    (_BUTLER, _dressed("Very well. ", " At your service."), 0.7),
)
_DRAWN = ((_named, 1.5), (_user_named, 1.0), (_knowing, 3.0), (_beginning, 1.0))
_WEIGHTS = [weight for *_, weight in _FIXED] + [weight for _, weight in _DRAWN]


def _character(draw: Draw) -> str:
    """A system prompt that asks for nothing that the model could do differently."""
    topic, job = draw.choice(TOPICS), article(draw.choice(JOBS))
    return draw.choice((
        f"You are an expert on {topic}.", f"You are {job}.", f"You help with {topic}.",
        f"You are the assistant of {job}. Be {draw.choice(ADJECTIVES)}.",
        f"You are a {draw.choice(ADJECTIVES)} assistant.", f"You know all about {topic}.",
    ))  # fmt: skip


def draw_style(draw: Draw) -> Style:
    """Some system prompt and its effect."""
    index = draw.choices(range(len(_WEIGHTS)), _WEIGHTS)[0]
    if index >= len(_FIXED):
        return _DRAWN[index - len(_FIXED)][0](draw)
    prompts, apply, _ = _FIXED[index]
    system = draw.choice(prompts)
    if prompts is NEUTRAL and draw.chance(0.3):
        system = _character(draw)
    if apply is not _plain and draw.chance(0.25):
        system = f"{draw.choice(NEUTRAL)} {system}"
    return Style(system, apply)


_INLINE = ("Answer in one word: {}", "In one word: {}", "{} Answer with one word.",
           "{} One word only.", "{} Only the answer, please.", "Short answer: {}",
           "{} Just the answer.")  # fmt: skip


def inline_short(draw: Draw, turn: Turn) -> Turn:
    """The same question with the wish for a bare answer inside of it."""
    if turn.short is None:
        return turn
    user = draw.choice(_INLINE).replace("{}", turn.user)
    return Turn(user, turn.short, turn.short, turn.noise, turn.family)
