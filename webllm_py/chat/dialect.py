"""How a model talks: its template, how it writes tool calls, how it reasons."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from webllm_py.chat.harmony import HARMONY, Harmony
from webllm_py.chat.pieces import ContentParser, Parser
from webllm_py.chat.prompt import PromptBuilder
from webllm_py.chat.reasoning import ReasoningParser, find_marks
from webllm_py.chat.rules import CallRules
from webllm_py.chat.template import Template
from webllm_py.chat.tools import syntax
from webllm_py.chat.tools.syntax import Syntax
from webllm_py.control_bytes import CONTROL_BYTES

if TYPE_CHECKING:
    from webllm_py.grammar import Grammar

__all__ = ["Dialect", "find_syntax"]

KEPT = 32  # grammars of answers


def find_syntax(
    source: str, knows_tools: bool, has_token: Callable[[str], bool]
) -> Syntax | Harmony:
    """How a model writes calls.

    Args:
        source: its template's.
        knows_tools: whether the template shows the tools that it is given.
        has_token: whether a text is one token of the vocabulary.
    """
    if "<|channel|>" in source and "functions." in source:
        return HARMONY
    for marks, found in _BY_SOURCE:
        if all(mark in source for mark in marks):
            return found
    if has_token("<|tool_call|>") and "<|tool|>" in source:
        return syntax.PHI
    if has_token("<|tool_call_start|>"):
        return syntax.LFM
    if not knows_tools and has_token("<tool_call>"):
        return syntax.HERMES
    return syntax.GENERIC


# The first whose words are all in the template.
_BY_SOURCE: Sequence[tuple[tuple[str, ...], Syntax]] = (
    (("<tool_call>", "<function="), syntax.QWEN_XML),
    (("<tool_call>",), syntax.HERMES),
    (("[TOOL_CALLS]", "[ARGS]"), syntax.MISTRAL_ARGS),
    (("[TOOL_CALLS]",), syntax.MISTRAL),
    (("<｜tool▁call▁begin｜>", "<｜tool▁sep｜>"), syntax.DEEPSEEK),
    (("<|tool_call|>", "<|/tool_call|>"), syntax.PHI),
    (("<|tool_call|>",), syntax.GRANITE),
    (("<|START_ACTION|>", '"tool_name"'), syntax.COHERE),
    (("<function_calls>",), syntax.OLMO),
    (("<|tool_list_start|>",), syntax.LFM),
    (("<|tool_call_start|>",), syntax.LFM),
    (("func_name1(params_name1=",), syntax.PYTHONIC),
    (('"parameters": ', "ipython"), syntax.LLAMA),
)


class Dialect:
    """Prompts and answers of one model.

    Args:
        template: its chat template.
        has_token: whether a text is one token of the vocabulary.
        is_control: whether it is one that decoding hides.
        placeholder: what the template writes for an image; empty if it writes none.
        beside: the same model's, with another template: what is a control token there is the same
            one here.
    """

    def __init__(
        self,
        template: Template,
        has_token: Callable[[str], bool] = lambda _: False,
        is_control: Callable[[str], bool] = lambda _: False,
        placeholder: str = "",
        beside: Dialect | None = None,
    ):
        self.template = template
        self.reasoning = find_marks(template.source, has_token)
        self._placeholder = placeholder
        self._has_token = has_token
        self._is_control = is_control
        self._beside = beside
        self._grammars: dict[tuple[Any, ...], Grammar] = {}

    @cached_property
    def syntax(self) -> Syntax | Harmony:
        """How the model writes calls."""
        source, knows = self.template.source, "tools" in self.template.variables
        return find_syntax(source, knows, self._has_token)

    @cached_property
    def prompts(self) -> PromptBuilder:
        """Renders conversations."""
        return PromptBuilder(self.template, self.syntax, self.reasoning, self._placeholder)

    @cached_property
    def controls(self) -> dict[str, int]:
        """Control tokens that mean something in an answer: they are shown to its parser, and in
        grammars each is the one byte that is given here."""
        marks = [*self.syntax.marks]
        if self.reasoning:
            marks += (self.reasoning.opening, self.reasoning.closing)
        found = [*filter(self._is_control, marks)]
        if self._beside:
            found = [*dict.fromkeys([*self._beside.controls, *found])]
        return dict(zip(found, CONTROL_BYTES, strict=False))

    def parser(self, prompt: str, rules: CallRules, *, apart: bool = True) -> Parser:
        """Reads an answer to a prompt.

        Args:
            apart: whether reasoning comes apart from the content; gpt-oss's does anyway.
        """
        syntax = self.syntax
        if isinstance(syntax, Harmony):
            return syntax.parser(rules.schemas)
        parser = syntax.parser(rules.schemas) if rules.functions else ContentParser()
        if self.reasoning and apart:
            opened = self.reasoning.opened_by(prompt)
            return ReasoningParser(self.reasoning, opened, parser)
        return parser

    def grammar(
        self, prompt: str, rules: CallRules, answer: Grammar | None = None
    ) -> Grammar | None:
        """What an answer to a prompt must be; None for any text.

        Args:
            answer: what it must be where it calls nothing.

        Raises:
            RequestError: arguments that must be kept to cannot be.
        """
        if not rules.functions and not answer:
            return None
        from webllm_py.chat.tools.answers import answer_grammar

        opened = self.reasoning.opened_by(prompt) if self.reasoning else False
        key = (json.dumps(rules.schemas), rules.required, rules.parallel, rules.strict, opened)
        found = self._grammars.pop((*key, answer), None)
        if found is None:
            found = answer_grammar(
                self.syntax, rules, self.controls, answer, self.reasoning, opened
            )
        self._grammars[*key, answer] = found  # the newest last
        if len(self._grammars) > KEPT:
            del self._grammars[next(iter(self._grammars))]
        return found
