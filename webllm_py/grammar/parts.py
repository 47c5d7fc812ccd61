"""Grammar nodes put together, with what is regular read as one term."""

from __future__ import annotations

from collections.abc import Sequence

from webllm_py.grammar.pushdown import Choice, Loop, Node, Series, Terminal
from webllm_py.grammar.regular import choice, repeat, sequence
from webllm_py.grammar.term import EMPTY, EPSILON

__all__ = ["Named", "alternatives", "repeated", "series"]


class Named(Terminal):
    """A regular rule used by its name: its own term, so that its token mask is shared."""


def series(parts: Sequence[Node]) -> Node:
    """One after the other; neighbours that are terms become one term, except named ones."""
    found: list[Node] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, Terminal) and part.language is EPSILON:
            continue
        if type(part) is Terminal and type(last) is Terminal:
            found[-1] = Terminal(sequence(last.language, part.language))
        else:
            found.append(part)
    if len(found) == 1:
        return found[0]
    return Series(found) if found else Terminal(EPSILON)


def alternatives(options: Sequence[Node]) -> Node:
    """Any one of these; the options that are terms become one term."""
    terms = [option.language for option in options if isinstance(option, Terminal)]
    others = [option for option in options if not isinstance(option, Terminal)]
    language = choice(*terms)
    found = others if language is EMPTY else [Terminal(language), *others]
    if len(found) == 1:
        return found[0]
    return Choice(found)


def repeated(item: Node, least: int, most: int | None) -> Node:
    """``item`` from ``least`` to ``most`` times."""
    if isinstance(item, Terminal):
        return Terminal(repeat(item.language, least, most))
    return item if least == most == 1 else Loop(item, least, most)
