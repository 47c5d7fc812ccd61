"""Grammars that hold calls to the form of a family of models and to their schemas."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from tool_call_cases import ALL, ONE, SCHEMA, TOOLS, TWO, F, G, in_pieces

from webllm_py.chat import CallRules, ChatTemplate
from webllm_py.chat.dialect import Dialect
from webllm_py.chat.harmony import Harmony
from webllm_py.chat.tools.answers import answer_grammar
from webllm_py.chat.tools.syntax import (
    COHERE,
    GENERIC,
    HERMES,
    LFM,
    LLAMA,
    MISTRAL,
    MISTRAL_ARGS,
    OLMO,
    PYTHONIC,
    Syntax,
)
from webllm_py.control_bytes import CONTROL_BYTES
from webllm_py.errors import RequestError
from webllm_py.grammar import Grammar, schema_grammar


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
        (LFM, "Look: <|tool_call_start|>[f(a=1),g()]<|tool_call_end|>"),
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
