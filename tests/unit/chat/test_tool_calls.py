"""Calls as each family of models writes them: read in pieces, written, and as grammars."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from typing import Any

import pytest

from webllm_py.chat import CallRules, ChatTemplate
from webllm_py.chat.dialect import Dialect, find_syntax
from webllm_py.chat.harmony import HARMONY, Harmony
from webllm_py.chat.pieces import Parser, Reply
from webllm_py.chat.tools import syntax as syntaxes
from webllm_py.chat.tools.answers import answer_grammar
from webllm_py.chat.tools.syntax import (
    COHERE,
    DEEPSEEK,
    GENERIC,
    HERMES,
    LLAMA,
    MISTRAL,
    MISTRAL_ARGS,
    OLMO,
    PHI,
    PYTHONIC,
    QWEN_XML,
    Syntax,
)
from webllm_py.errors import RequestError
from webllm_py.grammar import Grammar, schema_grammar
from webllm_py.grammar.free import CONTROL_BYTES

ALL: Mapping[str, Syntax | Harmony] = {
    **{name: getattr(syntaxes, name) for name in syntaxes.__all__ if name != "Syntax"},
    "HARMONY": HARMONY,
}
SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "integer"},
        "b": {"type": "string"},
        "c": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
        "d": {"enum": ["x", "y"], "type": "string"},
    },
    "required": ["a"],
}
F = {"name": "f", "parameters": SCHEMA}
G = {"name": "g"}
TOOLS = CallRules((F, G)).schemas


def in_pieces(parser: Parser, text: str, size: int) -> Reply:
    pieces = []
    for start in range(0, len(text), size):
        pieces += parser.push(text[start : start + size])
    return Reply.of([*pieces, *parser.end()])


ONE = ("f", '{"a": 1}')
TWO = [ONE, ("g", "{}")]
READ = [
    # as the templates write them
    *((syntax, syntax.written(TWO), "", TWO) for syntax in ALL.values()),
    (HERMES, "Sure. \n" + HERMES.written(TWO), "Sure.", TWO),
    (HERMES, '<tool_call>{"arguments": {"a": 1}, "name": "f"}</tool_call>', "", [ONE]),
    (HERMES, '<tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>', "", [ONE]),
    (HERMES, '<tool_call>{"name": "g"}</tool_call>', "", [("g", "{}")]),
    (
        HERMES,
        '<tool_call>\n{"name": "f", "arguments": {"b": "}x\\"</tool_call>"}}\n</tool_call>',
        "",
        [("f", '{"b": "}x\\"</tool_call>"}')],
    ),
    (HERMES, '<tool_call>{"name": "f", "arguments": {"b": "cut sho', "", [("f", '{"b": "cut sho')]),
    (HERMES, HERMES.written([ONE]) + "}\nafter", "\nafter", [ONE]),
    (LLAMA, '<|python_tag|>{"type": "function", "name": "f", "parameters": {"a": 1}}', "", [ONE]),
    (LLAMA, '{"name": "f", "parameters": {"a": 1}}; {"name": "g", "parameters": {}}', "", TWO),
    (GENERIC, '```json\n[{"name": "f", "arguments": {"a": 1}}]\n```', "", [ONE]),
    (
        PYTHONIC,
        "[f(a=-1, b='x, \\'y)', c=[True, {'k': None}]), g()]",
        "",
        [("f", '{"a": -1, "b": "x, \'y)", "c": [true, {"k": null}]}'), ("g", "{}")],
    ),
    (PYTHONIC, "<|python_start|>[f(a=true)]<|python_end|>", "", [("f", '{"a": true}')]),
    (MISTRAL, '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}]', "", [ONE]),
    (MISTRAL_ARGS, 'Hm.[TOOL_CALLS]f[ARGS] {"a": 1}', "Hm.", [ONE]),
    (
        COHERE,
        '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "f", "parameters": {"a": 1}},\n'
        '    {"tool_call_id": "1", "tool_name": "g", "parameters": {}}\n]<|END_ACTION|>',
        "",
        TWO,
    ),
    (OLMO, "I look.\n<function_calls>\nf(a=1)\ng()\n</function_calls>", "I look.", TWO),
    (
        QWEN_XML,
        "<tool_call>\n<function=f>\n<parameter=b>\n1\n2\n</parameter>\n<parameter=a>\n7\n"
        "</parameter>\n</function>\n</tool_call>",
        "",
        [("f", '{"b": "1\\n2", "a": 7}')],
    ),
    (HARMONY, ' to=functions.f<|channel|>commentary json<|message|>{"a": 1}<|call|>', "", [ONE]),
    (
        HARMONY,
        "<|channel|>commentary<|message|>I will.<|end|><|start|>assistant" + HARMONY.written([ONE]),
        "I will.",
        [ONE],
    ),
    (HARMONY, "<|channel|>final<|message|>Hello\n <b>!<|return|>", "Hello\n <b>!", []),
]
# What only looks like a call is content, to the letter.
PLAIN = [
    (HERMES, "a < b, <tool_ca"),
    (HERMES, "<tool_call>\nI cannot.</tool_call> x"),
    (LLAMA, '{"name": "Bob", "parameters": {}} is it'),
    (LLAMA, '{"a": 1}'),
    (LLAMA, 'Hello {"name": "f", "parameters": {}}'),
    (GENERIC, "```python\nprint()\n```"),
    (PYTHONIC, "[1] is not f(x)"),
    (PYTHONIC, "[h(a=1)]"),
    (MISTRAL, "[TOOL_CALLS] none"),
    (HARMONY, "no channel at all"),
]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("case", range(len(READ)))
def test_calls_are_read_whatever_pieces_they_come_in(case: int, size: int) -> None:
    syntax, text, content, calls = READ[case]
    reply = in_pieces(syntax.parser(TOOLS), text, size)
    assert (reply.content, reply.calls, reply.reasoning) == (content, calls, "")


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(("syntax", "text"), PLAIN)
def test_other_texts_are_left_as_they_are(syntax: Syntax, text: str, size: int) -> None:
    reply = in_pieces(syntax.parser(TOOLS), text, size)
    assert (reply.content, reply.calls) == (text, [])


WORDS = re.split(
    "#",
    '{"name": "f", "arguments": #{"name": "#f#g#"#{#}#[#]#,#(#)#=#1# #\n#\\#é#<#```json'
    "#<tool_call>#</tool_call>#<function=f>#<parameter=a>#</parameter>#</function>#[TOOL_CALLS]"
    "#[ARGS]#<|tool_call|>#<|python_tag|>#<|channel|>#analysis#final#<|message|>#<|end|>"
    "#<|start|>#assistant"
    "# to=functions.f#<｜tool▁calls▁begin｜>#<｜tool▁call▁begin｜>function<｜tool▁sep｜>f"
    '#<｜tool▁call▁end｜>#"arguments": #\'',
)


@pytest.mark.parametrize("name", ALL)
def test_garbage_is_read_alike_in_any_pieces_and_nothing_is_lost(name: str) -> None:
    rng = random.Random(name)
    for _ in range(250):
        text = "".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 14)))
        whole = in_pieces(ALL[name].parser(TOOLS), text, len(text))
        for size in (1, 5):
            assert in_pieces(ALL[name].parser(TOOLS), text, size) == whole, text
        if name != "HARMONY" and not whole.calls:
            assert whole.content == text


def test_text_is_held_back_only_while_it_may_become_a_call() -> None:
    parser = HERMES.parser(TOOLS)
    shown = ["".join(p.text for p in parser.push(c)) for c in "a <b<tool_x\n<"]
    assert shown == ["a", "", "", " <b", "", "", "", "", "", "", "<tool_x", "", ""]
    assert [p.text for p in parser.end()] == ["\n<"]


def test_arguments_come_as_they_are_written() -> None:
    parser = HERMES.parser(TOOLS)
    parser.push('<tool_call>{"name": "f", "arg')
    pieces = [*parser.push('uments": {"a"'), *parser.push(": 12"), *parser.push("3}}")]
    assert pieces == [("arguments", '{"a"'), ("arguments", ": 12"), ("arguments", "3}")]


TEMPLATES = {
    "HuggingFaceTB-SmolLM3-3B": GENERIC,
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": HERMES,
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": HERMES,
    "Qwen-Qwen2.5-7B-Instruct": HERMES,
    "Qwen-Qwen3-0.6B": HERMES,
    "Qwen3-Coder": QWEN_XML,
    "Qwen3.5-4B": QWEN_XML,
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": DEEPSEEK,
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": DEEPSEEK,
    "google-gemma-2-2b-it": GENERIC,
    "meta-llama-Llama-3.1-8B-Instruct": LLAMA,
    "meta-llama-Llama-3.2-3B-Instruct": LLAMA,
    "microsoft-Phi-3.5-mini-instruct": GENERIC,
    "mistralai-Ministral-3-14B-Reasoning-2512": MISTRAL_ARGS,
    "mistralai-Mistral-Nemo-Instruct-2407": MISTRAL,
    "openai-gpt-oss-120b": HARMONY,
}


@pytest.mark.usefixtures("templates_folder")
def test_the_syntax_is_found_in_the_template(model_template: Any) -> None:
    source = model_template.read_text(encoding="utf-8")
    assert find_syntax(source, True, lambda _: False) is TEMPLATES[model_template.stem]


def test_the_syntax_is_found_in_the_vocabulary() -> None:
    phi = "{{ '<|tool|>' + message['tools'] }}"
    assert find_syntax(phi, False, {"<|tool_call|>"}.__contains__) is PHI
    assert find_syntax("{{ messages }}", False, {"<tool_call>"}.__contains__) is HERMES
    assert find_syntax("{{ messages }}", False, lambda _: False) is GENERIC
    granite = "followed by a JSON list: <|tool_call|> {{ tools }}"
    assert find_syntax(granite, True, lambda _: False) is syntaxes.GRANITE
    llama4 = "[func_name1(params_name1=params_value1, ...)] {{ tools }}"
    assert find_syntax(llama4, True, lambda _: False) is PYTHONIC
    cohere = '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": {{ tools }}'
    assert find_syntax(cohere, True, lambda _: False) is COHERE
    olmo = "<functions>{{ tools }}</functions> <function_calls>"
    assert find_syntax(olmo, True, lambda _: False) is OLMO


# As grammars.


def controls_of(syntax: Syntax | Harmony) -> dict[str, int]:
    return dict(zip(syntax.marks, CONTROL_BYTES, strict=False))


def encoded(syntax: Syntax | Harmony, text: str) -> bytes:
    data = text.encode()
    for mark, byte in controls_of(syntax).items():
        data = data.replace(mark.encode(), bytes([byte]))
    return data


def decoded(syntax: Syntax | Harmony, data: bytes) -> str:
    names = {byte: mark.encode() for mark, byte in controls_of(syntax).items()}
    return b"".join(names.get(byte, bytes([byte])) for byte in data).decode()


def grammar_of(syntax: Syntax | Harmony, **rules: Any) -> Grammar:
    rules = {"functions": (F, G), **rules}
    return answer_grammar(syntax, CallRules(**rules), controls_of(syntax), None, None, False)


def drawn(grammar: Grammar, rng: random.Random) -> bytes | None:
    """A random text of a grammar; None if it got too long."""
    state, text = grammar.start(), bytearray()
    while len(text) < 300:
        if state.complete and (not state.first() or rng.random() < 0.3):
            return bytes(text)
        allowed = [byte for byte in range(256) if state.first() >> byte & 1]
        plain = [byte for byte in allowed if 32 <= byte < 127 or byte in CONTROL_BYTES]
        text.append(rng.choice(plain or allowed))
        following = state.step(text[-1])
        assert following is not None
        state = following
    return None


@pytest.mark.parametrize("name", ALL)
def test_a_required_call_is_read_back_whatever_is_drawn(name: str) -> None:
    syntax, rng, count = ALL[name], random.Random(2), 0
    grammar = grammar_of(syntax, required=True)
    for _ in range(25):
        data = drawn(grammar, rng)
        if data is None:
            continue
        count += 1
        text = decoded(syntax, data)
        reply = in_pieces(syntax.parser(TOOLS), text, 7)
        assert reply.calls and not reply.content, text
        for function, arguments in reply.calls:
            values = json.loads(arguments)
            assert function == "f" or (function == "g" and values == {}), text
            if function == "f":
                assert isinstance(values["a"], int) and set(values) <= set("abcd"), text
                assert values.get("d", "x") in ("x", "y"), text
                assert all(isinstance(flag, bool) for flag in values.get("c", [])), text
                assert isinstance(values.get("b", ""), str), text
    assert count > 3


@pytest.mark.parametrize("name", ALL)
def test_free_text_in_which_calls_are_right(name: str) -> None:
    syntax = ALL[name]
    grammar, single = grammar_of(syntax), grammar_of(syntax, parallel=False)
    final = "<|channel|>final<|message|>" if isinstance(syntax, Harmony) else ""
    for text in ("Hello < [1] {}", "", '{"a": 2}', "[1] x"):
        assert grammar.matches(encoded(syntax, final + text)), text
    call, calls = syntax.written([ONE]), syntax.written(TWO)
    assert grammar.matches(encoded(syntax, call)) and single.matches(encoded(syntax, call))
    several = not isinstance(syntax, Harmony) and syntax.separator is not None
    assert grammar.matches(encoded(syntax, calls)) == several
    assert not single.matches(encoded(syntax, calls))
    for wrong in (call[:-1] if name != "HARMONY" else call[:-2], call.replace("1", "z")):
        assert not grammar.matches(encoded(syntax, wrong)), wrong
    if not getattr(syntax, "anchored", True):
        assert grammar.matches(encoded(syntax, "Look:\n" + call))


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        (GENERIC, '[{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {}}]'),
        (GENERIC, '```json\n{"name": "f", "arguments": {"a": 1}}\n```'),
        (GENERIC, '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'),
        (GENERIC, '\n{ "type": "function", "name": "f", "arguments": {"a": 1}}'),
        (LLAMA, '<|python_tag|>{"type":"function","name":"f","parameters":{"a": 1}}'),
        (PYTHONIC, "<|python_start|>[f(a=1), g()]<|python_end|>"),
        (MISTRAL, '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}, "id": "abcdefghi"}]'),
        (
            COHERE,
            '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "f", "parameters": '
            '{"a": 1}}\n]<|END_ACTION|>',
        ),
        (OLMO, "<function_calls>f(a=1)\ng()</function_calls>"),
    ],
)
def test_other_ways_to_write_a_call_are_kept_to_as_well(syntax: Syntax, text: str) -> None:
    grammar = grammar_of(syntax)
    assert in_pieces(syntax.parser(TOOLS), text, 4).calls[0] == ONE
    assert grammar.matches(encoded(syntax, text))
    wrong = text.replace("1", '"1"')
    assert not grammar.matches(encoded(syntax, wrong))


def test_reasoning_before_a_call_that_is_required() -> None:
    from webllm_py.chat.reasoning import MARKS

    def grammar(opened: bool | None, required: bool = True) -> Grammar:
        rules = CallRules((F,), required=required)
        return answer_grammar(HERMES, rules, {}, None, MARKS[0], opened)

    call = HERMES.written([ONE]).encode()
    assert grammar(True).matches(b"Hm <tool_call> \n</think>\n\n" + call)
    assert not grammar(True).matches(call) and not grammar(True).matches(b"</think>Hello")
    assert grammar(None).matches(call) and grammar(None).matches(b"<think>x</think>" + call)
    assert not grammar(None).matches(b"<think>" + call) and not grammar(False).matches(
        b"<think>x</think>" + call
    )
    assert grammar(True, required=False).matches(b"Hm")


def test_an_answer_in_a_format_or_a_call() -> None:
    number = schema_grammar({"type": "integer"})
    for name, syntax in ALL.items():
        controls = controls_of(syntax)
        grammar = answer_grammar(syntax, CallRules((F,)), controls, number, None, False)
        final = "<|channel|>final<|message|>" if name == "HARMONY" else ""
        assert grammar.matches(encoded(syntax, final + "12"))
        assert grammar.matches(encoded(syntax, syntax.written([ONE])))
        assert not grammar.matches(encoded(syntax, final + "twelve"))


def test_a_format_behind_reasoning() -> None:
    number = schema_grammar({"type": "integer"})
    dialect = Dialect(ChatTemplate("{# </think> #}"))
    cases = {"<think>\n": (False, True), "<think></think>": (True, False), "": (True, True)}
    for prompt, (plain, thought) in cases.items():
        grammar = dialect.grammar(prompt, CallRules(), number)
        assert grammar is not None
        opening = b"" if prompt else b"<think>"
        assert grammar.matches(b"12") == plain
        assert grammar.matches(opening + b"12?</think>\n\n12") == thought
        assert not grammar.matches(opening + b"12?</think>\n\nx")
        assert dialect.grammar(prompt, CallRules(), number) is grammar
    assert dialect.grammar("", CallRules()) is None


def test_control_tokens_are_no_text() -> None:
    """A text that only spells the token is none of it, and no string holds the token."""
    grammar = grammar_of(MISTRAL_ARGS)
    call = b'\xc0f\xc1{"a": 1, "b": "?"}'
    assert grammar.matches(call)
    assert not grammar.matches(call.replace(b"?", b"\xc0"))
    assert grammar.matches(b"[TOOL_CALLS]f[ARGS]{}")  # plain text


def test_schemas_that_cannot_be_kept_to() -> None:
    unique = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    rules: dict[str, Any] = {
        "functions": ({"name": "f", "parameters": {"properties": {"tags": unique}}},)
    }
    for binding in ({"required": True}, {"strict": frozenset("f")}):
        with pytest.raises(RequestError, match=r"'f'.*uniqueItems.*#/properties/tags") as caught:
            grammar_of(HERMES, **rules, **binding)
        assert (caught.value.param, caught.value.code) == ("tools", "unsupported_schema")
    loose = grammar_of(HERMES, **rules)
    assert loose.matches(encoded(HERMES, HERMES.written([("f", '{"tags": [1, 1]}')])))
    assert not loose.matches(encoded(HERMES, HERMES.written([("f", "[1]")])))


def test_arguments_that_are_not_declared_are_not_made_up() -> None:
    open_ = {"name": "f", "parameters": {**SCHEMA, "additionalProperties": True}}
    extra = encoded(HERMES, HERMES.written([("f", '{"a": 1, "z": 1}')]))
    assert not grammar_of(HERMES, required=True).matches(extra)
    assert grammar_of(HERMES, required=True, functions=(open_,)).matches(extra)


def test_control_tokens_of_two_templates_are_the_same() -> None:
    """One vocabulary is told of both, so that a token has one byte in either's grammars."""
    control = {"is_control": lambda _: True}
    thinking = Dialect(ChatTemplate("<think></think>"), **control)
    calling = Dialect(ChatTemplate("<tool_call>{{ tools }}"), **control, beside=thinking)
    assert thinking.controls.items() <= calling.controls.items()
    assert set(calling.controls) >= {"<think>", "<tool_call>"}
    assert len(set(calling.controls.values())) == len(calling.controls)
