"""Reasoning split from the answer."""

from __future__ import annotations

import pytest

from webllm_py.chat import CallRules, ChatTemplate
from webllm_py.chat.dialect import Dialect
from webllm_py.chat.harmony import HarmonyParser
from webllm_py.chat.pieces import ContentParser, Parser, Reply
from webllm_py.chat.reasoning import MARKS, ReasoningParser, find_marks
from webllm_py.chat.tools.syntax import HERMES

THINK, BRACKETS, COHERE = MARKS
CALL = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'


def read(parser: Parser, text: str, size: int) -> Reply:
    pieces = []
    for start in range(0, len(text), size):
        pieces += parser.push(text[start : start + size])
    return Reply.of([*pieces, *parser.end()])


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("opened", "text", "reasoning", "content"),
    [
        (True, "\nso\n\nit is </th>\n</think>\n\nYes.\n", "so\n\nit is </th>", "Yes.\n"),
        (True, "<think>\nso</think>Yes.", "so", "Yes."),  # opened twice
        (True, "cut short ", "cut short", ""),
        (None, "<think>\nso\n</think>\nYes.", "so", "Yes."),
        (None, " \n<think></think>Yes.", "", "Yes."),
        (None, "Yes. <think>", "", "Yes. <think>"),
        (None, " <thi", "", " <thi"),
        (False, "<think>Yes.", "", "<think>Yes."),
    ],
)
def test_think(opened: bool | None, text: str, reasoning: str, content: str, size: int) -> None:
    reply = read(ReasoningParser(THINK, opened, ContentParser()), text, size)
    assert (reply.reasoning, reply.content) == (reasoning, content)


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_calls_behind_the_reasoning_only(size: int) -> None:
    parser = ReasoningParser(THINK, True, HERMES.parser({}))
    reply = read(parser, f"I write {CALL}?\n</think>\n\n{CALL}", size)
    assert (reply.reasoning, reply.content, reply.calls) == (f"I write {CALL}?", "", [("f", "{}")])


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_gpt_oss_reasons_on_a_channel(size: int) -> None:
    text = (
        "<|channel|>analysis<|message|>So\nit is.<|end|><|start|>assistant"
        "<|channel|>final<|message|>Yes."
    )
    reply = read(HarmonyParser(), text, size)
    assert (reply.reasoning, reply.content) == ("So\nit is.", "Yes.")


def test_the_marks_are_found_in_template_or_vocabulary() -> None:
    assert find_marks("... '</think>' ...", lambda _: False) is THINK
    assert find_marks("... [/THINK] ...", lambda _: False) is BRACKETS
    assert find_marks("... <|END_THINKING|> ...", lambda _: False) is COHERE
    assert find_marks("", {"<think>", "</think>"}.__contains__) is THINK
    assert find_marks("", lambda _: False) is None


QWEN = (
    "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
)
OPENS = QWEN.replace("is false %}<think>\n\n</think>\n\n", "is not false %}<think>\n")


@pytest.mark.parametrize(
    ("source", "thinking", "text", "expected"),
    [
        (QWEN, None, "<think>a</think>b", ("a", "b")),
        (QWEN, False, "b", ("", "b")),
        (OPENS, None, "a</think>b", ("a", "b")),
        (OPENS, True, "a</think>b", ("a", "b")),
        ("{{ messages }}", None, "<think>a</think>b", ("", "<think>a</think>b")),
    ],
)
def test_what_the_template_opened_or_closed(
    source: str, thinking: bool | None, text: str, expected: tuple[str, str]
) -> None:
    dialect = Dialect(ChatTemplate(source))
    user = {"role": "user", "content": "q"}
    prompt = dialect.prompts.build([user], enable_thinking=thinking)
    reply = read(dialect.parser(prompt, CallRules()), text, 3)
    assert (reply.reasoning, reply.content) == expected
    whole = read(dialect.parser(prompt, CallRules(), apart=False), text, 3)
    assert (whole.reasoning, whole.content) == ("", text)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("A:", "A:<think>\n\n</think>\n\n"),
        ("A:<think>\n", "A:<think>\n\n</think>\n\n"),
        ("A:<think></think>", "A:<think></think>"),
    ],
)
def test_thinking_is_switched_off_where_the_template_has_no_switch(end: str, expected: str) -> None:
    source = f"{{# </think> #}}{{{{ messages[0].content }}}} {end}"
    prompts = Dialect(ChatTemplate(source)).prompts
    user = {"role": "user", "content": "q"}
    assert prompts.build([user], enable_thinking=False) == f"q {expected}"
    assert prompts.build([user], enable_thinking=True) == f"q {end}".removesuffix("\n")
