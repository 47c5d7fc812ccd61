"""ChatTemplate: exact renderings, the functions that templates get, errors with their line."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import OrderedDict
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from webllm_py.chat import ChatTemplate
from webllm_py.errors import TemplateError

USER = {"role": "user", "content": "hi"}


def render(source: str, *messages: dict[str, Any], **variables: Any) -> str:
    return ChatTemplate(source).render(messages or [USER], **variables)


def test_published_templates_render_exactly(templates_folder: Path) -> None:
    """28 cases with the texts that transformers produces, the clock at the date of the file."""
    cases = json.loads((templates_folder / "rendered.json").read_text(encoding="utf-8"))
    assert len(cases) == 28
    for case in cases:
        data = dict(case["data"])
        template = ChatTemplate(
            case["chat_template"],
            bos_token=data.pop("bos_token", ""),
            eos_token=data.pop("eos_token", ""),
            clock=lambda: datetime(2025, 7, 10),
        )
        messages = data.pop("messages")
        data.setdefault("add_generation_prompt", False)
        assert template.render(messages, **data) == case["target"], case["name"]


def test_special_tokens_and_variables_reach_the_template() -> None:
    template = ChatTemplate(
        "{{ bos_token }}{{ pad_token }}{{ messages[0].content }}{{ x.y }}{{ eos_token }}",
        bos_token="<s>",
        eos_token="</s>",
        special_tokens={"pad_token": "<pad>"},
    )
    assert template.render([USER], x={"y": 5}) == "<s><pad>hi5</s>"
    assert template.variables == {"bos_token", "pad_token", "messages", "x", "eos_token"}


def test_the_arguments_of_render_are_what_templates_look_at() -> None:
    source = "{{ add_generation_prompt }} {{ tools }} {{ documents }}"
    assert render(source) == "True None None"
    assert render(source, tools=[], add_generation_prompt=False) == "False None None"
    assert render(source, tools=[{"a": 1}], documents=["d"]) == "True [{'a': 1}] ['d']"


def test_a_template_that_does_not_look_whether_there_are_tools() -> None:
    assert render("{% for tool in tools %}{{ tool }}{% endfor %}.") == "."


def test_any_mapping_sequence_or_number_becomes_pythons_own() -> None:
    message = MappingProxyType({"role": "user", "content": OrderedDict(a=(1, np.float32(0.5)))})
    assert ChatTemplate("{{ messages }}").render([message]) == str(
        [{"role": "user", "content": {"a": [1, 0.5]}}]
    )


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [object()]}, r"x\.a\[0\]: must be a JSON value, not object"),
        ({1: 2}, r"x: has a key that is no string: 1"),
        (float("nan"), r"x: must be a finite number"),
        ("\ud800", r"x: holds half a character"),
        (np.zeros(2), r"x: must be a JSON value, not ndarray"),
    ],
)
def test_values_that_json_cannot_hold_are_refused(value: Any, place: str) -> None:
    with pytest.raises(TemplateError, match=place):
        render("{{ x }}", x=value)


def test_blocks_are_trimmed_as_transformers_does() -> None:
    assert render("a\n  {% if true %}\nb\n  {% endif %}\nc\n") == "a\nb\nc"


def test_tojson_is_plain_json() -> None:
    value = {"b": "<é&'>", "a": [1, None, True, 2.5]}
    assert render("{{ x|tojson }}", x=value) == json.dumps(value, ensure_ascii=False)
    assert render("{{ x|tojson(indent=2) }}", x=value) == json.dumps(
        value, ensure_ascii=False, indent=2
    )
    assert render("{{ x|tojson(ensure_ascii=true) }}", x=value) == json.dumps(value)
    assert (
        render("{{ x|tojson(separators=(',', ':'), sort_keys=true) }}", x=value)
        == '{"a":[1,null,true,2.5],"b":"<é&\'>"}'
    )


def test_strftime_now_reads_the_clock() -> None:
    template = ChatTemplate(
        "{{ strftime_now('%d %b %Y, %-d') }}", clock=lambda: datetime(2025, 7, 4)
    )
    assert template.render([USER]) == "04 Jul 2025, 4"


def test_generation_marks_leave_no_trace() -> None:
    source = "a{% generation %}{% set x = 1 %}{{ messages[0].content }}{% endgeneration %}{{ x }}b"
    assert render(source) == "ahib"


def test_break_and_continue() -> None:
    source = (
        "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}"
        "{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}"
    )
    assert render(source) == "023"


def test_loop_variables_macros_namespaces_and_lazy_filters_still_work() -> None:
    source = """\
{%- macro show(m, ns) %}{% set ns.n = ns.n + 1 %}[{{ m.role }}]{% endmacro -%}
{%- set ns = namespace(n=0) -%}
{%- for m in messages if m.role != 'system' -%}
{{ loop.index }}/{{ loop.length }}{{ show(m, ns) }}{{ '' if loop.last else ', ' }}
{%- endfor -%}
; {{ ns.n }} {{ messages|map(attribute='role')|join('+') }} {{ (1, 2) + (3,) }} {{ 'x' ~ 1 ~ none }}
{%- set users = messages|selectattr('role', 'equalto', 'user') %} {{ users|list|length }}
{%- if users is iterable %}{{ users|list|length }}{% endif %}"""
    system = {"role": "system", "content": ""}
    assert render(source, system, USER, {**USER, "role": "assistant"}) == (
        "1/2[user], 2/2[assistant]; 2 system+user+assistant (1, 2, 3) x1None 10"
    )


def test_a_template_may_fill_a_block_and_call_with_one() -> None:
    source = (
        "{% macro wrap() %}<{{ caller() }}>{% endmacro %}"
        "{% set x %}{% call wrap() %}a{% endcall %}{% endset %}{{ x }}{{ x|length }}"
    )
    assert render(source) == "<a>3"


def test_refusals_are_in_the_templates_own_words() -> None:
    source = "\n\n{{ raise_exception('Roles must alternate, got ' + messages[0].role) }}"
    with pytest.raises(TemplateError, match=r"^Roles must alternate, got user \(.* in line 3\)$"):
        render(source)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a\n{% for x in y %}", "in line 2: Unexpected end of template"),
        ("a\nb\n{{ 1 + }}", "in line 3: "),
        ("{{ 1|nosuchfilter }}", "in line 1: No filter named 'nosuchfilter'"),
        ("{% generation %}", "in line 1: "),
    ],
)
def test_broken_templates_name_the_line(source: str, words: str) -> None:
    with pytest.raises(TemplateError, match="cannot be used " + words):
        ChatTemplate(source)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a\n{{ 1 / 0 }}", "in line 2: division by zero"),
        ("a\n\n{{ missing.x }}", "in line 3: 'missing' is undefined"),
        ("{% macro m() %}\n{{ '' + 1 }}{% endmacro %}\n{{ m() }}", "in line 2: "),
        ("{% include 'x' %}", "in line 1: no loader"),
    ],
)
def test_failing_templates_name_the_line(source: str, words: str) -> None:
    with pytest.raises(TemplateError, match="failed " + words):
        render(source)


def test_one_template_renders_in_several_threads_at_once() -> None:
    """The budget belongs to the rendering, not to the template."""
    template = ChatTemplate("{% for i in range(n) %}{{ i }},{% endfor %}")
    results: dict[int, str] = {}

    def work(n: int) -> None:
        results[n] = template.render([USER], n=n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1000, 1008)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: "".join(f"{i}," for i in range(n)) for n in range(1000, 1008)}


def test_jinja_is_imported_with_the_first_template_only() -> None:
    code = (
        "import sys, webllm_py.api, webllm_py.chat; assert 'jinja2' not in sys.modules; "
        "webllm_py.chat.ChatTemplate('x'); assert 'jinja2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
