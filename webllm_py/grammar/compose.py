"""Grammars put together from fixed texts, regular expressions and other grammars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from webllm_py.errors import GrammarError
from webllm_py.grammar.free import free_text
from webllm_py.grammar.parts import Named, alternatives, series
from webllm_py.grammar.pushdown import Grammar, Node, Reference, Terminal
from webllm_py.grammar.regular import choice
from webllm_py.grammar.term import EPSILON, Regular
from webllm_py.grammar.words import literal

__all__ = ["NOTHING", "Part", "Tag", "any_of", "in_free_text", "in_order", "node_of", "one_or_more"]

Part: TypeAlias = bytes | Regular | Node | Grammar
"""Exactly these bytes, a regular language, or a grammar."""
NOTHING: Node = Terminal(EPSILON)
"""Nothing more."""


def node_of(part: Part) -> Node:
    """The part as a node."""
    if isinstance(part, bytes):
        return Terminal(literal(part))
    if isinstance(part, Regular):
        return Named(part)
    return part.root if isinstance(part, Grammar) else part


def in_order(*parts: Part) -> Node:
    """One after the other."""
    return series([node_of(part) for part in parts])


def any_of(*parts: Part) -> Node:
    """Any one of these."""
    return alternatives([node_of(part) for part in parts])


def one_or_more(item: Part, separator: Part, *, most: int | None = None) -> Node:
    """``item``, once or again and again with a separator between.

    Args:
        most: 1 for once only; None for any number.
    """
    if most == 1:
        return node_of(item)
    again = Reference("again")
    again.target = in_order(item, any_of(NOTHING, in_order(separator, again)))
    return again


@dataclass(frozen=True)
class Tag:
    """What stands between a fixed beginning and a fixed end."""

    begin: bytes
    content: Part
    end: bytes


def in_free_text(
    tags: Sequence[Tag],
    triggers: Sequence[bytes],
    *,
    at_least_one: bool = False,
    stop_after_first: bool = False,
) -> Node:
    """Free text, in which each trigger begins one of the tags that begin with it.

    Raises:
        GrammarError: a tag begins with no trigger, a trigger begins no tag, or begins with another.
    """
    for tag in tags:
        if not any(tag.begin.startswith(trigger) for trigger in triggers):
            raise GrammarError(f"the tag {tag.begin.decode()!r} begins with none of the triggers")
    every = choice(*map(literal, triggers))
    rounds = [(at_least_one, Reference("free text"))]
    if at_least_one and not stop_after_first:
        rounds.append((False, Reference("free text again")))
    after: Node = NOTHING if stop_after_first else rounds[-1][1]
    for needed, reference in rounds:
        options = []
        for trigger in triggers:
            own = [tag for tag in tags if tag.begin.startswith(trigger)]
            if not trigger or not own or _begins_with_another(trigger, triggers):
                raise GrammarError(
                    f"the trigger {trigger.decode()!r} is empty, begins no tag, or begins with "
                    "another trigger"
                )
            bodies = [in_order(t.begin[len(trigger) :], t.content, t.end) for t in own]
            free = free_text(literal(trigger), every, ends=not needed)
            options.append(in_order(free, any_of(*bodies), after))
        reference.target = any_of(*options)
    return rounds[0][1]


def _begins_with_another(trigger: bytes, triggers: Sequence[bytes]) -> bool:
    return any(trigger != other and trigger.startswith(other) for other in triggers)
