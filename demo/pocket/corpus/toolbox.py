"""The tools that the corpus offers: what each is called, takes, is asked for and gives back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import world
from .core import Draw, article, capitalise
from .lexicon import CITIES, NAMES, NOUNS, TOPICS, VERBS, WORDS, made_up

__all__ = ["TOOLS", "Parameter", "Tool", "made_up_tool"]


@dataclass(frozen=True)
class Parameter:
    """One argument: its possible names, its JSON type, what it says and how values are drawn."""

    names: tuple[str, ...]
    kind: str
    description: str
    values: Callable[[Draw], Any]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tool:
    """A tool; {0}, {1} in asks and answers are its arguments, {name} its name.

    Attributes:
        answer: from the arguments, what the tool returns and the sentence that reports it.
        missing: question back when the first argument is not given, and how users ask then.
    """

    names: tuple[str, ...]
    descriptions: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    asks: tuple[str, ...]
    answer: Callable[[Draw, list[Any]], tuple[dict[str, Any], str]]
    missing: tuple[str, tuple[str, ...]] | None = None


def _city(draw: Draw) -> str:
    return draw.choice(CITIES) if draw.chance(0.93) else capitalise(made_up(draw))


def _words(draw: Draw) -> str:
    kind = draw.random()
    if kind < 0.4:
        return draw.choice(TOPICS)
    return draw.choice(NOUNS) if kind < 0.8 else f"{draw.choice(WORDS)} {draw.choice(WORDS)}"


def _clock(draw: Draw) -> str:
    return f"{draw.below(24)}:{draw.below(12) * 5:02d}"


def _weather(draw: Draw, a: list[Any]) -> tuple[dict[str, Any], str]:
    sky = draw.choice(("sunny", "cloudy", "rainy", "windy", "snowy", "foggy"))
    degrees = draw.below(45) - 10
    return {"temperature": degrees, "sky": sky}, f"It is {sky} in {a[0]}, with {degrees} degrees."


def _time(draw: Draw, a: list[Any]) -> tuple[dict[str, Any], str]:
    now = _clock(draw)
    return {"time": now}, f"It is {now} in {a[0]}."


def _calculate(draw: Draw, a: list[Any]) -> tuple[dict[str, Any], str]:
    left, sign, right = str(a[0]).split()
    x, y = int(left), int(right)
    result = {"+": x + y, "-": x - y, "*": x * y}[sign]
    return {"result": result}, f"{a[0]} = {result}."


def _expression(draw: Draw) -> str:
    a, b = 10 ** (1 + draw.below(4)), 10 ** (1 + draw.below(4))
    return f"{100 + draw.below(a)} {draw.choice('+-*')} {2 + draw.below(b)}"


def _search(draw: Draw, a: list[Any]) -> tuple[dict[str, Any], str]:
    found = f"{draw.choice(WORDS)} {draw.choice(WORDS)} {draw.choice(WORDS)}"
    return {"result": found}, f"I found this about {a[0]}: {found}."


def _done(pattern: str) -> Callable[[Draw, list[Any]], tuple[dict[str, Any], str]]:
    def answer(_: Draw, a: list[Any]) -> tuple[dict[str, Any], str]:
        return {"ok": True}, "Done: " + pattern.format(*a)

    return answer


def _rate(draw: Draw, a: list[Any]) -> tuple[dict[str, Any], str]:
    amount = draw.below(2000)
    return {"amount": amount}, f"{a[0]} {a[1]} are {amount} {a[2]}."


def _number(key: str, pattern: str, top: int) -> Callable[..., tuple[dict[str, Any], str]]:
    def answer(draw: Draw, a: list[Any]) -> tuple[dict[str, Any], str]:
        value = 1 + draw.below(top)
        return {key: value}, pattern.format(*a, value=value)

    return answer


def _translated(draw: Draw, a: list[Any]) -> tuple[dict[str, Any], str]:
    text = made_up(draw)
    return {"translation": text}, f"In {a[1]}, {a[0]} is {text}."


def _phone(draw: Draw, a: list[Any]) -> tuple[dict[str, Any], str]:
    digits = "".join(str(draw.below(10)) for _ in range(6))
    return {"phone": digits}, f"The number of {a[0]} is {digits}."


_MONEY = ("dollars", "euros", "pounds", "yen", "francs")
_LANGUAGES = ("French", "Spanish", "German", "Italian", "Japanese", "Dutch", "Polish")
_ROOMS = ("kitchen", "bedroom", "living room", "bathroom", "garage", "garden", "office")

TOOLS = (
    Tool(("get_weather", "weather", "current_weather", "get_current_weather", "weather_lookup"),
         ("Get the weather of a city", "The current weather in a place", "Weather now"),
         (Parameter(("city", "location", "place", "town"), "string", "Name of the city", _city),),
         ("What is the weather in {0}?", "How is the weather in {0}?", "Weather in {0}?",
          "Is it raining in {0}?", "What's the weather like in {0}?", "How warm is it in {0}?",
          "Tell me the weather in {0}.", "Do I need an umbrella in {0}?", "Is it cold in {0}?",
          "weather {0}"), _weather,
         ("For which city?", ("What is the weather?", "How is the weather?",
                              "Tell me the weather."))),
    Tool(("get_time", "current_time", "clock", "time_in", "get_local_time"),
         ("Get the time in a city", "The local time of a place", "Current time"),
         (Parameter(("city", "location", "place"), "string", "Name of the city", _city),),
         ("What time is it in {0}?", "Time in {0}?", "What is the time in {0}?",
          "How late is it in {0}?", "Tell me the time in {0}."), _time,
         ("In which city?", ("What time is it?", "Tell me the time."))),
    Tool(("calculator", "calculate", "compute", "evaluate", "math"),
         ("Calculate an expression", "Evaluate arithmetic", "A calculator"),
         (Parameter(("expression", "formula", "input"), "string", "What to calculate",
                    _expression),),
         ("What is {0}?", "Calculate {0}.", "{0}", "How much is {0}?", "Compute {0}.", "{0} ="),
         _calculate),
    Tool(("search", "web_search", "search_web", "find", "google"),
         ("Search the web", "Look something up on the web", "Find pages"),
         (Parameter(("query", "q", "text", "topic"), "string", "What to look for", _words),),
         ("Search for {0}.", "Look up {0}.", "Search the web for {0}.", "Find something about {0}.",
          "What can you find about {0}?", "Google {0}."), _search,
         ("What shall I look for?", ("Search the web.", "Look something up."))),
    Tool(("set_timer", "timer", "start_timer"), ("Start a timer", "Set a kitchen timer"),
         (Parameter(("minutes", "duration"), "integer", "Minutes to wait",
                    lambda d: 1 + d.below(90)),),
         ("Set a timer for {0} minutes.", "Start a timer of {0} minutes.", "Timer {0} minutes",
          "Wake me in {0} minutes.", "Tell me when {0} minutes are over."),
          _done("a timer of {0} minutes."),
         ("For how many minutes?", ("Set a timer.", "Start a timer."))),
    Tool(("set_alarm", "alarm", "wake_me"), ("Set an alarm", "Set the alarm clock"),
         (Parameter(("time", "at"), "string", "Time of day, as in 7:30", _clock),),
         ("Set an alarm for {0}.", "Wake me at {0}.", "Alarm at {0}, please.",
          "Set the alarm to {0}."),
         _done("an alarm at {0}."), ("For what time?", ("Set an alarm.", "Wake me up."))),
    Tool(("send_message", "message", "send_text", "text_someone"), ("Send a message",
                                                                    "Write to a person"),
         (Parameter(("to", "recipient", "person"), "string", "Who gets it",
                    lambda d: d.choice(NAMES)),
          Parameter(("text", "body", "message"), "string", "What to say",
                    lambda d: d.choice(("hello", "I am late", "see you soon", "happy birthday",
                                        "call me", "good night", "thank you", "I am at home",
                                        "dinner is ready")))),
         ("Send {0} the message: {1}", "Tell {0}: {1}", "Write to {0}: {1}",
          "Message {0} that says {1}", "Text {0}: {1}"), _done("{0} gets your message.")),
    Tool(("convert_currency", "exchange", "currency"), ("Convert money", "Exchange rates"),
         (Parameter(("amount", "value"), "integer", "How much", lambda d: 1 + d.below(500)),
          Parameter(("from", "source", "from_currency"), "string", "Currency to convert",
                    lambda d: d.choice(_MONEY[:3])),
          Parameter(("to", "target", "to_currency"), "string", "Wanted currency",
                    lambda d: d.choice(_MONEY[3:]))),
         ("How much are {0} {1} in {2}?", "Convert {0} {1} to {2}.", "{0} {1} in {2}?",
          "What are {0} {1} in {2}?"), _rate),
    Tool(("translate", "translator", "translate_text"), ("Translate a text",
                                                         "A dictionary of languages"),
         (Parameter(("text", "word", "phrase"), "string", "Text to translate",
                    lambda d: d.choice(WORDS)),
          Parameter(("language", "target", "to"), "string", "Language to translate to",
                    lambda d: d.choice(_LANGUAGES))),
         ("Translate {0} to {1}.", "What is {0} in {1}?", "How do you say {0} in {1}?",
          "Translate {0} into {1}."), _translated),
    Tool(("play_music", "music", "play_song", "player"), ("Play music", "Start a song"),
         (Parameter(("title", "song", "name"), "string", "What to play",
                    lambda d: f"{d.choice(WORDS)} {d.choice(NOUNS)}"),),
         ("Play {0}.", "Play the song {0}.", "I want to hear {0}.", "Put on {0}."),
         _done("playing {0}."), ("Which song?", ("Play some music.", "Play a song."))),
    Tool(("set_light", "light", "lamp_control", "switch_light"), ("Switch a lamp",
                                                                  "Control the lights"),
         (Parameter(("room", "where", "place"), "string", "The room", lambda d: d.choice(_ROOMS)),
          Parameter(("state", "value", "mode"), "string", "on or off",
                    lambda d: d.choice(("on", "off")), ("on", "off"))),
         ("Turn {1} the light in the {0}.", "Switch {1} the lamp in the {0}.",
          "Light {1} in the {0}", "Turn the {0} light {1}."),
          _done("the light in the {0} is {1}.")),
    Tool(("create_event", "add_event", "calendar", "schedule"), ("Add an event to the calendar",
          "Make an appointment"),
         (Parameter(("title", "name", "event"), "string", "What it is",
                    lambda d: d.choice(("lunch", "dinner", "meeting", "party", "dentist", "walk",
                                        "call"))),
          Parameter(("day", "date", "weekday"), "string", "Which day",
                    lambda d: d.choice(world.WEEKDAYS)),
          Parameter(("time", "at", "hour"), "string", "When", _clock)),
         ("Add {0} on {1} at {2}.", "Schedule {0} for {1} at {2}.",
          "Put {0} in my calendar on {1} at {2}.", "Plan {0} on {1} at {2}."),
          _done("{0} on {1} at {2}.")),
    Tool(("roll_dice", "dice", "throw_dice"), ("Roll a die", "Throw dice"),
         (Parameter(("sides", "faces"), "integer", "How many sides", lambda d: 4 + d.below(17)),),
         ("Roll a die with {0} sides.", "Throw a {0}-sided die.", "Roll a {0}-sided die."),
         _number("value", "You rolled {value}.", 6)),
    Tool(("find_contact", "contacts", "phone_book", "lookup_person"), ("Find a phone number",
                                                                       "The phone book"),
         (Parameter(("name", "person", "who"), "string", "Name of the person",
                    lambda d: d.choice(NAMES)),),
         ("What is the phone number of {0}?", "Find the number of {0}.", "Phone number of {0}?",
          "How can I call {0}?"), _phone),
    Tool(("get_distance", "distance", "route", "how_far"), ("Distance between two cities",
                                                            "Plan a route"),
         (Parameter(("from", "start", "origin"), "string", "First city", _city),
          Parameter(("to", "end", "destination"), "string", "Second city", _city)),
         ("How far is it from {0} to {1}?", "Distance from {0} to {1}?", "How far is {1} from {0}?",
          "How many kilometres are between {0} and {1}?"),
         _number("kilometres", "From {0} to {1} it is {value} kilometres.", 9000)),
    Tool(("get_population", "population", "inhabitants"), ("Population of a country",
                                                           "How many people live there"),
         (Parameter(("country", "place", "land"), "string", "Name of the country",
                    lambda d: d.choice(list(world.COUNTRIES)).removeprefix("the ")),),
         ("How many people live in {0}?", "What is the population of {0}?", "Population of {0}?"),
         _number("people", "{value} people live in {0}.", 99999999)),
    Tool(("get_price", "price", "shop_price", "stock_price"), ("Price of a thing",
                                                               "Look up prices"),
         (Parameter(("item", "product", "thing"), "string", "What to buy",
                    lambda d: d.choice(NOUNS)),),
         ("What does a {0} cost?", "How much is a {0}?", "Price of a {0}?",
          "What is the price of a {0}?"),
         _number("price", "It costs {value} euros.", 999)),
    Tool(("add_to_list", "shopping_list", "add_item", "todo"), ("Add to the shopping list",
                                                                "Write on a list"),
         (Parameter(("item", "thing", "what"), "string", "What to add", lambda d: d.choice(NOUNS)),
          ),
         ("Add {0} to the list.", "Put {0} on my list.", "Add {0} to my shopping list.",
          "Write {0} on the list."), _done("{0} is on the list.")),
)  # fmt: skip

_KINDS: tuple[tuple[str, Callable[[Draw], Any]], ...] = (
    ("string", lambda d: d.choice(WORDS)),
    ("string", lambda d: d.choice(NAMES)),
    ("string", _city),
    ("string", made_up),
    ("integer", lambda d: d.below(1000)),
    ("number", lambda d: d.below(1000)),
)
_NAME = re.compile(r"[^a-z_]")


def made_up_tool(draw: Draw) -> Tool:
    """A tool that is in no list, so that names and arguments must be read from its description."""
    verb, noun = draw.choice(VERBS), draw.choice(NOUNS if draw.chance(0.7) else WORDS)
    name = _NAME.sub(
        "", draw.choice((f"{verb}_{noun}", f"{noun}_{verb}", noun, f"get_{noun}")).lower()
    )
    parameters = []
    for parameter in draw.sample(NOUNS, draw.choice((1, 1, 2))):
        kind, values = draw.choice(_KINDS)
        parameters.append(Parameter((parameter,), kind, f"The {parameter}", values))
    given = " and ".join(f"{p.names[0]} {{{i}}}" for i, p in enumerate(parameters))
    asks = [
        f"Use {name} with {given}.",
        f"Call {name} with {given}.",
        f"Please {verb} the {noun} with {given}.",
    ]
    if len(parameters) == 1:
        asks += [f"{capitalise(verb)} {article(noun)} with {{0}}.", f"Use {name} for {{0}}."]
    result = draw.choice(WORDS) if draw.chance(0.5) else str(draw.below(1000))
    key = draw.choice(("result", "value", "answer"))
    return Tool(
        (name,), (f"{capitalise(verb)} {article(noun)}",), tuple(parameters), tuple(asks),
        lambda d, a: ({key: result}, f"The {key} is {result}."),
    )  # fmt: skip
