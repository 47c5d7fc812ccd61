"""Whole documents: turns of all families put together into chats, and some plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import arithmetic, facts, jsons, reading, refusals, smalltalk, spelling, stories
from .core import Chat, Draw, Family, Turn
from .memory import Memory
from .noise import disturb
from .relations import RELATIONS
from .styles import NEUTRAL, PLAIN, Style, draw_style, inline_short
from .tool_chats import tool_chat

__all__ = ["HELD_OUT_FAMILIES", "any_turn", "documents", "fact_turn"]


class _Mixture:
    """Families with their shares."""

    def __init__(self, shares: Sequence[tuple[Family, float]]):
        self._families = [family for family, _ in shares]
        self._cumulative: list[float] = []
        total = 0.0
        for _, share in shares:
            total += share
            self._cumulative.append(total)

    def __call__(self, draw: Draw) -> Turn:
        return draw.choices(self._families, cum_weights=self._cumulative)[0](draw)


fact_turn = _Mixture([(relation.turn, relation.weight) for relation in RELATIONS])
_arithmetic = _Mixture(arithmetic.FAMILIES)
_json = _Mixture(jsons.FAMILIES)
_sentence_turn = _Mixture([(arithmetic.sum_or_difference, 1.0), (fact_turn, 1.0)])

# Shares of turns. Stories are long, so their share of tokens is several times this.
_TURNS: list[tuple[Family, float]] = [
    (_arithmetic, 20.0),
    (fact_turn, 21.0),
    (facts.trivia, 2.0),
    (facts.yes_no, 1.5),
    (facts.listing, 1.5),
    (_Mixture(spelling.FAMILIES), 18.0),
    (_Mixture(smalltalk.FAMILIES), 13.0),
    (_json, 9.0),
    (_Mixture(reading.FAMILIES), 4.0),
    (_Mixture(refusals.FAMILIES), 8.0),
    (stories.story, 4.0),
]
any_turn = _Mixture(_TURNS)
_without_numbers = _Mixture(_TURNS[1:7])

HELD_OUT_FAMILIES: dict[str, Family] = {
    "arithmetic": arithmetic.sum_or_difference,
    "facts": fact_turn,
    "json": _json,
}
"""What the 200 held-out prompts are drawn from."""


def _length(draw: Draw) -> int:
    """How many turns a chat has."""
    kind = draw.random()
    if kind < 0.45:
        return 1
    return 2 + draw.below(5) if kind < 0.93 else 7 + draw.below(19)


def _next_turn(draw: Draw, last: Turn | None, memory: Memory, style: Style, several: bool) -> Turn:
    if last is not None and last.follow is not None and draw.chance(0.35):
        return last.follow(draw)
    kind = draw.random()
    if style.own and kind < 0.5:
        return draw.choice(style.own)
    if several and kind > 0.86:
        if kind < 0.9:
            return memory.tell(draw)
        return memory.ask(draw) if kind < 0.96 else memory.echo(draw)
    turn = any_turn(draw)
    if style is PLAIN and turn.short and draw.chance(0.06):
        return inline_short(draw, turn) if draw.chance(0.6) else _two_questions(draw)
    return turn


def _two_questions(draw: Draw) -> Turn:
    """Two questions in one message, answered one after the other."""
    first, second = _sentence_turn(draw), _sentence_turn(draw)
    user = f"{first.user} {second.user}"
    if draw.chance(0.3):
        user = f"{first.user.rstrip('.?')} and {second.user[:1].lower()}{second.user[1:]}"
    return Turn(user, f"{first.reply} {second.reply}", family="two_questions")


def _chat(draw: Draw) -> Chat:
    style = draw_style(draw) if draw.chance(0.22) else PLAIN
    messages = [] if style.system is None else [{"role": "system", "content": style.system}]
    count, memory, last = _length(draw), Memory(), None
    families: list[str] = []
    while len(families) < count:
        turn = _next_turn(draw, last, memory, style, count > 1)
        reply = style.apply(turn)
        if reply is None:
            last = None
            continue
        user = disturb(draw, turn.user, turn.noise)
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": reply}]
        memory.saw(user, reply)
        families.append(turn.family)
        last = turn
    return Chat(messages, None, families)


def _tool_chat(draw: Draw) -> Chat:
    system = draw.choice(NEUTRAL) if draw.chance(0.4) else None
    return tool_chat(draw, _without_numbers, system)


def documents(draw: Draw) -> Iterator[Chat | str]:
    """Endless training documents: chats, and stories and facts as plain text."""
    while True:
        kind = draw.random()
        if kind < 0.02:
            yield stories.raw_story(draw)
        elif kind < 0.03:
            yield " ".join(fact_turn(draw).reply for _ in range(1 + draw.below(6)))
        elif kind < 0.12:
            yield _tool_chat(draw)
        else:
            yield _chat(draw)
