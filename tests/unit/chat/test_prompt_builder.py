"""PromptBuilder: OpenAI's messages in the form that each template expects; fallbacks."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from webllm_py.chat import ChatTemplate, choose_template
from webllm_py.chat.dialect import Dialect
from webllm_py.chat.prompt import PromptBuilder
from webllm_py.chat.reasoning import MARKS, find_marks
from webllm_py.errors import RequestError, TemplateError

SYSTEM = {"role": "system", "content": "SYSTEM TEXT"}
USER = {"role": "user", "content": "FIRST QUESTION"}
ANSWER = {"role": "assistant", "content": "FIRST ANSWER"}
SECOND = {"role": "user", "content": "SECOND QUESTION"}
PARTS = {
    "role": "user",
    "content": [{"type": "text", "text": "PART ONE"}, {"type": "text", "text": "PART TWO"}],
}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "id": "abcdefghi",
            "type": "function",
            "function": {"name": "get_weather", "arguments": '{"city": "OSLO"}'},
        }
    ],
}
RESULT = {"role": "tool", "content": "THREE DEGREES", "tool_call_id": "abcdefghi"}
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "CITY NAME"}},
            "required": ["city"],
        },
    },
}

NO_SYSTEM = {"google-gemma-2-2b-it"}


@cache
def builder(path: Path) -> PromptBuilder:
    source = path.read_text(encoding="utf-8")
    return PromptBuilder(ChatTemplate(source, bos_token="<s>", eos_token="</s>"))


def in_order(text: str, *words: str) -> bool:
    places = [text.find(word) for word in words]
    return -1 not in places and places == sorted(places)


@pytest.mark.usefixtures("templates_folder")
class TestPublishedTemplates:
    def test_conversations(self, model_template: Path) -> None:
        prompts = builder(model_template)
        assert "FIRST QUESTION" in prompts.build([USER])
        assert in_order(
            prompts.build([USER, ANSWER, SECOND]),
            "FIRST QUESTION",
            "FIRST ANSWER",
            "SECOND QUESTION",
        )
        assert "PART ONE\nPART TWO" in prompts.build([PARTS])

    @pytest.mark.parametrize("role", ["system", "developer"])
    def test_system_messages(self, model_template: Path, role: str) -> None:
        prompts = builder(model_template)
        messages = [{**SYSTEM, "role": role}, USER]
        if model_template.stem in NO_SYSTEM:
            with pytest.raises(TemplateError, match="System role not supported"):
                prompts.build(messages)
        else:
            assert in_order(prompts.build(messages), "SYSTEM TEXT", "FIRST QUESTION")

    def test_tools(self, model_template: Path) -> None:
        text = builder(model_template).build([USER], tools=[TOOL])
        assert all(word in text for word in ("get_weather", "CITY NAME", "FIRST QUESTION"))

    def test_tools_that_say_little_or_much(self, model_template: Path) -> None:
        prompts = builder(model_template)
        bare = {"type": "function", "function": {"name": "stop"}}
        schemas = [
            {"type": ["string", "null"]},
            {"type": "array", "items": {"type": "integer"}},
            {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/x"}]},
            {"enum": [1, None, "a"]},
            {"type": "object"},
        ]
        properties = {f"argument_{i}": schema for i, schema in enumerate(schemas)}
        parameters = {"type": "object", "properties": properties, "$defs": {"x": {}}}
        rich = {"type": "function", "function": {"name": "go", "parameters": parameters}}
        text = prompts.build([USER], tools=[bare, rich])
        assert all(word in text for word in ("stop", "go", "argument_4", "FIRST QUESTION"))

    def test_tool_results(self, model_template: Path) -> None:
        prompts = builder(model_template)
        messages = [USER, CALL, RESULT, ANSWER, SECOND]
        text = prompts.build(messages, tools=[TOOL])
        text = text[text.index("FIRST QUESTION") :]
        assert in_order(
            text, "get_weather", "OSLO", "THREE DEGREES", "FIRST ANSWER", "SECOND QUESTION"
        )
        assert "{'city'" not in text  # a dict as Python prints it

    def test_several_calls(self, model_template: Path) -> None:
        (call,) = CALL["tool_calls"]
        function = {"name": "get_time", "arguments": '{"city": "ROME"}'}
        second = {**call, "id": "jklmnopqr", "function": function}
        both = {**CALL, "tool_calls": [call, second]}
        later = {**RESULT, "content": "TEN", "tool_call_id": "jklmnopqr"}
        text = builder(model_template).build([USER, both, RESULT, later], tools=[TOOL])
        text = text[text.index("FIRST QUESTION") :]
        assert in_order(text, "OSLO", "THREE DEGREES") and in_order(text, "ROME", "TEN")
        assert in_order(text, "get_weather", "OSLO", "get_time", "ROME")

    def test_reasoning_of_earlier_turns_is_left_out(self, model_template: Path) -> None:
        source = model_template.read_text(encoding="utf-8")
        prompts = Dialect(ChatTemplate(source)).prompts
        marks = find_marks(source, lambda _: False)
        if marks:
            thought = f"{marks.opening}\nSECRET\n{marks.closing}\n\nFIRST ANSWER"
            text = prompts.build([USER, {**ANSWER, "content": thought}, SECOND])
            assert in_order(text, "FIRST QUESTION", "FIRST ANSWER", "SECOND QUESTION")
            assert "SECRET" not in text
        fields = {**ANSWER, "reasoning_content": "SECRET"}
        assert "SECRET" not in prompts.build([USER, fields, SECOND])

    def test_the_last_message_can_be_continued(self, model_template: Path) -> None:
        """The prompt ends with its text, white space too, in the middle of the model's turn."""
        prompts = builder(model_template)
        begun = {"role": "assistant", "content": "IT IS "}
        text = prompts.build(
            [USER, begun], add_generation_prompt=False, continue_final_message=True
        )
        assert text.endswith("IT IS ") and "FIRST QUESTION" in text
        closed = prompts.build([USER, begun], add_generation_prompt=False)
        assert len(closed.strip()) >= len(text.strip())
        assert closed.startswith(text.rstrip())


def test_thinking_can_be_switched_off(templates_folder: Path) -> None:
    prompts = builder(templates_folder / "jinja" / "Qwen-Qwen3-0.6B.jinja")
    closed = "<think>\n\n</think>\n\n"
    assert prompts.build([USER], enable_thinking=False).endswith(closed)
    assert not prompts.build([USER], enable_thinking=True).endswith(closed)
    assert not prompts.build([USER]).endswith(closed)


def make(source: str) -> PromptBuilder:
    return PromptBuilder(ChatTemplate(source))


CONTENTS = "{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}"


def test_the_developer_role_becomes_system_unless_the_template_names_it() -> None:
    message = {"role": "developer", "content": "x"}
    assert make(CONTENTS).build([message]) == "system=x;"
    assert make(CONTENTS + "{# developer #}").build([message]) == "developer=x;"


def test_texts_become_parts_where_the_template_goes_through_parts() -> None:
    source = (
        "{% for m in messages %}{% for p in m.content %}"
        "{{ p.type }}:{{ p.text }};{% endfor %}{% endfor %}"
    )
    assert make(source).build([USER, PARTS]) == ("text:FIRST QUESTION;text:PART ONE;text:PART TWO;")


CALLS = (
    "{% for m in messages %}{% for c in m.tool_calls %}ARGS{% endfor %}{{ m.content }};{% endfor %}"
)


@pytest.mark.parametrize(
    ("shown", "arguments", "expected"),
    [
        ("{{ c.function.arguments|tojson }}", '{"a": "é"}', '{"a": "é"}'),
        ("{{ c.function.arguments }}", '{"a":  1}', '{"a":  1}'),  # as the model wrote it
        ("{{ c.function.arguments + '' }}", '{"a": 1}', '{"a": 1}'),
        ("{% for k, v in c.function.arguments.items() %}{{ k }}:{{ v }}{% endfor %}", '{"a": 1}',
         "a:1"),
        ("{{ c.function.arguments|tojson }}", "not json", '"not json"'),
        ("{{ c.function.arguments|tojson }}", "[1]", '"[1]"'),
        ("{{ c.function.arguments|tojson }}", "[" * 100_000, None),
    ],
)  # fmt: skip
def test_arguments_of_tool_calls(shown: str, arguments: str, expected: str | None) -> None:
    call: dict[str, Any] = {
        "id": "x",
        "type": "function",
        "function": {"name": "f", "arguments": arguments},
    }
    message = {"role": "assistant", "content": "ok", "tool_calls": [call]}
    text = make(CALLS.replace("ARGS", shown)).build([USER, message])
    expected = f'"{arguments}"' if expected is None else expected
    assert text == f"FIRST QUESTION;{expected}ok;"
    assert call["function"]["arguments"] == arguments  # the request is left as it was


ONLY_USERS = (
    "{% for m in messages if m.role != 'tool' and m.role != 'system' %}"
    "{{ m.role }}={{ m.content }};{% endfor %}"
)


def test_what_a_template_would_drop_without_a_word_is_refused() -> None:
    with pytest.raises(RequestError, match="has no place for") as caught:
        make(ONLY_USERS).build([SYSTEM, USER])
    assert caught.value.param == "messages[0].role"


def test_calls_and_results_become_text_where_the_template_drops_them() -> None:
    other = {**RESULT, "content": [{"type": "text", "text": "FOUR"}]}
    written = '{"name": "get_weather", "arguments": {"city": "OSLO"}}'
    assert make(ONLY_USERS).build([USER, {**CALL, "content": "Look."}, RESULT, other, SECOND]) == (
        f"user=FIRST QUESTION;assistant=Look.\n{written};"
        "user=<tool_response>\nTHREE DEGREES\n</tool_response>\n"
        "<tool_response>\nFOUR\n</tool_response>;user=SECOND QUESTION;"
    )


def test_results_have_the_role_that_the_template_names() -> None:
    """Granite 3.0's."""
    named = (
        "{% for m in messages %}{% if m.role in ('user', 'assistant', 'tool_response') %}"
        "{{ m.role }}={{ m.content }};{% endif %}{% endfor %}"
    )
    assert (
        make(named)
        .build([USER, {**CALL, "content": "Look."}, RESULT, RESULT])
        .endswith("}};tool_response=THREE DEGREES;tool_response=THREE DEGREES;")
    )


def test_tools_go_into_the_system_message_else_into_the_first() -> None:
    both = "{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}"
    for messages, begin in (
        ([SYSTEM, USER], "system=SYSTEM TEXT\n\nYou can call functions."),
        ([USER], "system=You can call functions."),
    ):
        text = make(both).build(messages, tools=[TOOL])
        assert text.startswith(begin) and text.endswith(";user=FIRST QUESTION;")
        assert '{"name": "NAME", "arguments": {"ARGUMENT": "VALUE"}}' in text
    text = make(ONLY_USERS).build([USER], tools=[TOOL])
    assert text.startswith("user=You can call") and text.endswith("\n\nFIRST QUESTION;")


def test_tools_as_text_of_the_system_message() -> None:
    """As Phi-4-mini's template has them."""
    phi = (
        "{% for m in messages %}{% if m.role == 'system' and 'tools' in m %}"
        "{{ m.content + '<|tool|>' + m.tools + '<|/tool|>' }}{% else %}{{ m.content }}{% endif %}"
        "{% endfor %}"
    )
    text = make(phi).build([SYSTEM, USER], tools=[TOOL])
    assert text.startswith('SYSTEM TEXT<|tool|>[{"name": "get_weather", "description"')
    assert text.endswith("<|/tool|>FIRST QUESTION")


def test_ids_of_calls_are_made_short_where_a_template_wants_them_so(templates_folder: Path) -> None:
    prompts = builder(templates_folder / "jinja" / "mistralai-Mistral-Nemo-Instruct-2407.jinja")
    call = {**CALL, "tool_calls": [{**CALL["tool_calls"][0], "id": "call_0123456789"}]}
    text = prompts.build([USER, call, {**RESULT, "tool_call_id": "call_0123456789"}])
    (first, second) = re.findall(r'"(?:call_)?id": "([a-z0-9]{9})"', text)
    assert first == second


def test_reasoning_in_earlier_answers_is_left_out() -> None:
    answer = {"role": "assistant", "content": "<think>\nSECRET\n</think>\n\nFIRST ANSWER"}
    source = "{% for m in messages %}{{ m.content }};{{ m.reasoning_content }}.{% endfor %}"
    marks = MARKS[0]
    prompts = PromptBuilder(ChatTemplate(source), reasoning=marks)
    assert prompts.build([USER, answer]) == "FIRST QUESTION;.FIRST ANSWER;SECRET."
    assert prompts.build([USER, {**answer, "reasoning_content": "MINE"}]).endswith("MINE.")
    keeps = PromptBuilder(ChatTemplate(source))  # a model that does not reason
    assert "<think>\nSECRET" in keeps.build([USER, answer])


def test_variables_have_to_be_known_to_the_template() -> None:
    prompts = make("{{ messages[0].content }}{% if style %}{{ style }}{% endif %}")
    assert prompts.build([USER], variables={"style": "!"}) == "FIRST QUESTION!"
    with pytest.raises(RequestError, match="variables messages, style") as caught:
        prompts.build([USER], variables={"stile": "!"})
    assert caught.value.param == "chat_template_kwargs.stile"
    assert prompts.build([USER], enable_thinking=False) == "FIRST QUESTION"


CONVERSATION = [SYSTEM, USER, ANSWER, SECOND]


def test_a_checkpoints_own_template_comes_first() -> None:
    template = choose_template("{{ bos_token }}own", lambda _: True, bos_token="<s>")
    assert template.render([USER]) == "<s>own"
    with pytest.raises(TemplateError):
        choose_template("{% broken", lambda _: True)


def test_without_a_template_chatml_if_the_tokenizer_knows_it() -> None:
    template = choose_template(None, {"<|im_start|>", "<|im_end|>"}.__contains__)
    assert PromptBuilder(template).build(CONVERSATION) == (
        "<|im_start|>system\nSYSTEM TEXT<|im_end|>\n"
        "<|im_start|>user\nFIRST QUESTION<|im_end|>\n"
        "<|im_start|>assistant\nFIRST ANSWER<|im_end|>\n"
        "<|im_start|>user\nSECOND QUESTION<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert template.render([USER], add_generation_prompt=False).endswith("<|im_end|>\n")


@pytest.mark.parametrize("tokens", [set(), {"<|im_start|>"}, {"<|im_end|>"}])
def test_without_both_plain_lines(tokens: set[str]) -> None:
    template = choose_template(None, tokens.__contains__, bos_token="<s>")
    assert PromptBuilder(template).build(CONVERSATION) == (
        "<s>system: SYSTEM TEXT\n"
        "user: FIRST QUESTION\n"
        "assistant: FIRST ANSWER\n"
        "user: SECOND QUESTION\n"
        "assistant:"
    )


@pytest.mark.parametrize("chatml", [True, False])
def test_the_fallbacks_write_tools_and_calls_into_the_text(chatml: bool) -> None:
    prompts = PromptBuilder(choose_template(None, lambda _: chatml))
    text = prompts.build([USER, CALL, RESULT], tools=[TOOL])
    call = '{"name": "get_weather", "arguments": {"city": "OSLO"}}'
    assert in_order(text, "CITY NAME", "FIRST QUESTION", call, "THREE DEGREES")
