"""Calls as each family of models writes them: read in pieces, and written."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from tool_call_cases import ALL, ONE, TOOLS, TWO, in_pieces

from webllm_py.chat.dialect import find_syntax
from webllm_py.chat.harmony import HARMONY
from webllm_py.chat.tools import syntax as syntaxes
from webllm_py.chat.tools.syntax import (
    COHERE,
    DEEPSEEK,
    GENERIC,
    HERMES,
    LFM,
    LLAMA,
    MISTRAL,
    MISTRAL_ARGS,
    OLMO,
    PHI,
    PYTHONIC,
    QWEN_XML,
    Syntax,
)

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
        LFM,
        'I look.<|tool_call_start|>[f(a=1, b="x"), g()]<|tool_call_end|>',
        "I look.",
        [("f", '{"a": 1, "b": "x"}'), ("g", "{}")],
    ),
    (LFM, "<|tool_call_start|>[f(a=1), g()]<|tool_call_end|>I look.", "I look.", TWO),
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
    (LFM, "<|tool_call_start|> [1] is not f(x)"),
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
    lfm2 = "List of tools: <|tool_list_start|>[{{ tools }}]<|tool_list_end|>"
    assert find_syntax(lfm2, True, lambda _: False) is LFM
    lfm2_later = "'<|tool_call_start|>[' + calls | join(', ') + ']<|tool_call_end|>' {{ tools }}"
    assert find_syntax(lfm2_later, True, lambda _: False) is LFM
    silent = "List of tools: {{ tools }}"
    assert find_syntax(silent, True, {"<|tool_call_start|>"}.__contains__) is LFM


# As grammars.
