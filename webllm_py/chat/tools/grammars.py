"""Calls in a model's own syntax as grammars, and answers in which they may stand."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from webllm_py.chat.harmony import CHANNEL, CONSTRAIN, END, MESSAGE, START
from webllm_py.chat.tools.schemas import Function, arguments_node
from webllm_py.chat.tools.syntax import GENERIC, Syntax
from webllm_py.grammar.compose import NOTHING, any_of, in_order, one_or_more
from webllm_py.grammar.free import free_text
from webllm_py.grammar.pushdown import Node
from webllm_py.grammar.regex import regex
from webllm_py.grammar.regular import byte_set, choice, sequence
from webllm_py.grammar.term import EMPTY, EPSILON, Regular
from webllm_py.grammar.words import literal

__all__ = ["LOOSE_SPACE", "Controls", "call_grammar", "harmony_grammar", "written"]

Controls = Mapping[str, int]
"""The byte that stands for each control token in a grammar (``webllm_py.grammar.free``)."""
COMMAS = (", ", "; ")  # what models write between calls where nobody taught them anything
LOOSE_SPACE = regex(r"[ \t\r\n]{0,2}")


def written(text: str, controls: Controls) -> Regular:
    """A fixed text; white space in it is optional, but between words."""
    marks = sorted(controls, key=len, reverse=True)
    parts = re.split("(" + "|".join(map(re.escape, [*marks, " ", "\n"])) + ")", text)
    found = EPSILON
    for place, part in enumerate(parts):
        if part in controls:
            language = byte_set(1 << controls[part])
        elif part in (" ", "\n") and not _between_words(parts, place):
            language = LOOSE_SPACE
        else:
            language = literal(part.encode())
        found = sequence(found, language)
    return found


def _between_words(parts: Sequence[str], place: int) -> bool:
    before, after = "".join(parts[:place])[-1:], "".join(parts[place + 1 :])[:1]
    return before.isalnum() and after.isalnum()


def call_grammar(
    syntax: Syntax,
    functions: Sequence[Function],
    controls: Controls,
    *,
    parallel: bool,
    other: Node | None = None,
    free: bool = False,
) -> Node:
    """Calls of these functions.

    Args:
        parallel: whether there may be several.
        other: what the answer may be instead.
        free: it may also be any text, which calls may follow.

    Raises:
        RequestError: arguments that must be kept to cannot be.
    """
    heads = [_head(syntax, function, controls) for function in functions]
    bodies = [
        in_order(
            arguments_node(function, syntax.arguments),
            regex(syntax.extra),
            written(syntax.tail, controls),
        )
        for function in functions
    ]
    call = any_of(*map(in_order, heads, bodies))
    more: Node = NOTHING
    if parallel and syntax.separator is not None:
        between = (syntax.separator, *(COMMAS if syntax is GENERIC else ()))
        separator = choice(*(written(text, controls) for text in between))
        more = any_of(NOTHING, in_order(separator, one_or_more(call, separator)))
    rest = in_order(more, written(syntax.closing, controls))
    opening = written(syntax.opening, controls)
    if not free:
        return any_of(in_order(opening, call, rest), *([other] if other else []))
    if not syntax.anchored:
        mark = written(syntax.starts[0], controls)
        behind = written(syntax.opening.removeprefix(syntax.starts[0]), controls)
        return in_order(free_text(mark), behind, call, rest)
    # Other texts may begin alike: what names one of the functions is a call.
    options = []
    for begin, end in (("", ""), *syntax.wraps):
        before = sequence(LOOSE_SPACE, written(begin, controls), LOOSE_SPACE, opening)
        after = in_order(LOOSE_SPACE, written(end, controls)) if end else NOTHING
        for head, body in zip(heads, bodies, strict=True):
            options.append((sequence(before, head), in_order(LOOSE_SPACE, body, rest, after)))
    every = choice(*(trigger for trigger, _ in options))
    return any_of(
        *(in_order(free_text(trigger, every, anchored=True), call) for trigger, call in options)
    )


def _head(syntax: Syntax, function: Function, controls: Controls) -> Regular:
    """A call up to its arguments; where it is a JSON object, it may say more before its name."""
    before, quoted, _ = syntax.head.partition(syntax.key)
    name = json.dumps(function.name, ensure_ascii=False)[1:-1] if quoted else function.name
    return sequence(
        written(before, controls),
        sequence(LOOSE_SPACE, regex(syntax.before)) if quoted else EPSILON,
        written(quoted, controls),
        literal(name.encode()),
        written(syntax.middle, controls),
    )


def harmony_grammar(
    functions: Sequence[Function],
    controls: Controls,
    *,
    other: Node | None = None,
    free: bool = False,
) -> Node:
    """As ``call_grammar``, one call at a time, behind any number of messages that reason."""
    calls = [
        in_order(
            written(CHANNEL, controls),
            f"commentary to=functions.{function.name} ".encode(),
            written(CONSTRAIN, controls),
            b"json",
            written(MESSAGE, controls),
            arguments_node(function, "json"),
        )
        for function in functions
    ]
    if other or free:
        final = in_order(written(CHANNEL, controls), b"final", written(MESSAGE, controls))
        calls.append(in_order(final, other or free_text(EMPTY)))
    aside = in_order(
        written(CHANNEL, controls),
        any_of(b"analysis", *([b"commentary"] if other or free else [])),
        written(MESSAGE, controls),
        free_text(written(END, controls), ends=False),
        written(START, controls),
        b"assistant",
    )
    answer = any_of(*calls)
    return any_of(answer, in_order(one_or_more(aside, b""), answer))
