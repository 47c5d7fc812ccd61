"""Whole answers as grammars: reasoning, then calls, or what else the answer may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webllm_py.chat.harmony import Harmony
from webllm_py.chat.reasoning import Marks
from webllm_py.chat.tools.grammars import (
    LOOSE_SPACE,
    Controls,
    call_grammar,
    harmony_grammar,
    written,
)
from webllm_py.chat.tools.schemas import Function
from webllm_py.chat.tools.syntax import Syntax
from webllm_py.grammar import Grammar
from webllm_py.grammar.compose import any_of, in_order
from webllm_py.grammar.free import free_text
from webllm_py.grammar.pushdown import Node

if TYPE_CHECKING:
    from webllm_py.chat.rules import CallRules

__all__ = ["answer_grammar"]


def answer_grammar(
    syntax: Syntax | Harmony,
    rules: CallRules,
    controls: Controls,
    answer: Grammar | None,
    marks: Marks | None,
    opened: bool | None,
) -> Grammar:
    """What an answer must be.

    Args:
        controls: the byte of each control token.
        answer: what it must be where it calls nothing; None for any text.
        marks: of the reasoning that may come before.
        opened: whether the answer begins inside of the reasoning; None where the model decides.

    Raises:
        RequestError: arguments that must be kept to cannot be.
    """
    functions = [
        Function(name, schema, binding=rules.required or name in rules.strict)
        for name, schema in rules.schemas.items()
    ]
    free = not rules.required and answer is None
    other = None if rules.required or answer is None else answer.root
    if isinstance(syntax, Harmony):
        return Grammar(harmony_grammar(functions, controls, other=other, free=free))
    if functions:
        core = call_grammar(
            syntax, functions, controls, parallel=rules.parallel, other=other, free=free
        )
    else:
        assert other is not None
        core = other
    if marks is None or opened is False:
        return Grammar(core)
    return Grammar(_reasoned(core, marks, controls, opened is True, ends=free))


def _reasoned(core: Node, marks: Marks, controls: Controls, opened: bool, ends: bool) -> Node:
    thought = free_text(written(marks.closing, controls), ends=ends)
    behind = in_order(thought, LOOSE_SPACE, core)
    if opened:
        return behind
    return any_of(core, in_order(LOOSE_SPACE, written(marks.opening, controls), behind))
