"""MLC's conversation templates: exact renderings, worked out by hand from mlc_llm's protocol."""

from __future__ import annotations

from typing import Any

import pytest

from webllm_py.chat import choose_template
from webllm_py.chat.conversation import ConversationTemplate
from webllm_py.chat.prompt import PromptBuilder
from webllm_py.errors import RequestError, TemplateError

ROLES = {"user": "{user_message}", "assistant": "{assistant_message}", "tool": "{tool_message}"}
LLAMA3: dict[str, Any] = {
    "name": "llama-3_1",
    "system_template": "<|start_header_id|>system<|end_header_id|>\n\n{system_message}<|eot_id|>",
    "system_message": "You are helpful.",
    "system_prefix_token_ids": [128000],
    "add_role_after_system_message": True,
    "roles": {
        "user": "<|start_header_id|>user",
        "assistant": "<|start_header_id|>assistant",
        "tool": "<|start_header_id|>ipython",
    },
    "role_templates": ROLES,
    "messages": [],
    "seps": ["<|eot_id|>"],
    "role_content_sep": "<|end_header_id|>\n\n",
    "role_empty_sep": "<|end_header_id|>\n\n",
    "stop_str": [""],
    "stop_token_ids": [128001, 128008, 128009],
    "function_string": "",
}
CHATML: dict[str, Any] = {
    "system_template": "<|im_start|>system\n{system_message}<|im_end|>\n",
    "system_message": "Be brief.",
    "system_prefix_token_ids": None,
    "roles": {"user": "<|im_start|>user", "assistant": "<|im_start|>assistant"},
    "seps": ["<|im_end|>\n"],
    "role_content_sep": "\n",
    "role_empty_sep": "\n",
    "strip_reasoning_in_history": True,
    "stop_str": ["<|im_end|>"],
}
MISTRAL: dict[str, Any] = {
    "system_template": "[INST] {system_message}",
    "system_message": "Care.",
    "system_prefix_token_ids": [1],
    "add_role_after_system_message": False,
    "roles": {"user": "[INST]", "assistant": "[/INST]", "tool": "[INST]"},
    "seps": [" ", "</s>"],
    "role_content_sep": " ",
    "role_empty_sep": "",
    "stop_str": ["</s>"],
}
GEMMA: dict[str, Any] = {
    "system_template": "{system_message}",
    "system_message": "",
    "system_prefix_token_ids": [2],
    "roles": {"user": "<start_of_turn>user", "assistant": "<start_of_turn>model"},
    "seps": ["<end_of_turn>\n"],
    "role_content_sep": "\n",
    "role_empty_sep": "\n",
}
GORILLA: dict[str, Any] = {
    "system_template": "{system_message}",
    "system_message": "A chat.",
    "roles": {"user": "USER", "assistant": "ASSISTANT"},
    "role_templates": {"user": "<<q>> {user_message} <<f>> {function_string}"},
    "seps": ["\n", "</s>"],
    "role_content_sep": ": ",
    "role_empty_sep": ":",
}
TEXTS = {1: "<s>", 2: "<bos>", 128000: "<|begin_of_text|>"}

GEMMA_TURN = "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n"

Message = dict[str, Any]
ONE: list[Message] = [{"role": "user", "content": "Hi"}]
THREE: list[Message] = [
    *ONE,
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello"},
    {"role": "user", "content": "Who?"},
]
SYSTEM: Message = {"role": "system", "content": "S"}


def rendered(template: dict[str, Any], messages: list[Message], **options: Any) -> str:
    return ConversationTemplate(template, TEXTS.__getitem__).render(messages, **options)


@pytest.mark.parametrize(
    ("template", "messages", "expected"),
    [
        (
            LLAMA3,
            ONE,
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are helpful."
            "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            LLAMA3,
            [SYSTEM, *ONE, {"role": "tool", "content": "7"}],
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>ipython<|end_header_id|>\n\n7<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            CHATML,
            THREE,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nWho?<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
        (
            MISTRAL,
            THREE,
            "<s>[INST] Care.Hi [/INST] <think>\nhm\n</think>\n\nHello</s>[INST] Who? [/INST]",
        ),
        (GEMMA, ONE, f"<bos>{GEMMA_TURN}"),
        (GEMMA, [SYSTEM, *ONE], f"<bos>S{GEMMA_TURN}"),
        (GORILLA, ONE, "A chat.USER: <<q>> Hi <<f>> \nASSISTANT:"),
    ],
)  # fmt: skip
def test_conversations(template: dict[str, Any], messages: list[Message], expected: str) -> None:
    assert rendered(template, messages) == expected


def test_what_messages_say_is_no_template() -> None:
    messages = [{"role": "user", "content": "{user_message} {system_message} {function_string}"}]
    assert "USER: <<q>> {user_message} {system_message} {function_string} <<f>> \n" in rendered(
        GORILLA, messages
    )


def test_functions_stand_in_the_last_place() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    text = rendered(GORILLA, THREE, tools=tools)
    assert text.count('[{"name": "f"}]') == 1
    assert text.endswith('<<q>> Who? <<f>> [{"name": "f"}]\nASSISTANT:')
    assert "tools" in ConversationTemplate(GORILLA, str).variables
    assert "tools" not in ConversationTemplate(LLAMA3, str).variables


def test_an_answer_can_begin_without_thoughts() -> None:
    end = "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    assert rendered(CHATML, ONE, enable_thinking=False).endswith(end)
    assert not rendered(CHATML, ONE, add_generation_prompt=False).endswith("assistant\n")


def test_prompts_of_requests() -> None:
    builder = PromptBuilder(ConversationTemplate(MISTRAL, TEXTS.__getitem__))
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "developer", "content": "D"}, {"role": "user", "content": parts}]
    assert builder.build(messages) == "<s>[INST] Da\nb [/INST]"
    assert builder.stop == ("</s>",)
    tools = [{"type": "function", "function": {"name": "find_it", "parameters": {}}}]
    assert "find_it" in builder.build(ONE, tools=tools)
    with pytest.raises(RequestError, match=r"no place for 'chat_template_kwargs\.mood'"):
        builder.build(ONE, variables={"mood": "good"})


def test_it_stands_in_for_a_missing_template() -> None:
    def chosen(template: str | None, conversation: dict[str, Any] | None) -> Any:
        return choose_template(
            template, lambda text: True, conversation=conversation, token_text=TEXTS.__getitem__
        )

    assert chosen("{{ messages }}", GEMMA).source == "{{ messages }}"
    assert isinstance(chosen(None, GEMMA), ConversationTemplate)
    assert "<|im_start|>" in chosen(None, None).source
    assert ConversationTemplate(LLAMA3, str).stop == ()


@pytest.mark.parametrize(
    ("template", "messages", "message"),
    [
        (CHATML, [*ONE, SYSTEM], "'system' must be the first"),
        (CHATML, [{"role": "tool", "content": "7"}], "user, assistant; .*'tool' have no place"),
        ({**CHATML, "seps": []}, ONE, "one or two seps"),
        ({**CHATML, "seps": ["a", 2]}, ONE, r"seps = .*2"),
        ({**CHATML, "roles": {"user": "U"}}, ONE, "roles user and assistant"),
        ({**CHATML, "roles": None}, ONE, "roles = 'None'"),
        ({**CHATML, "role_templates": {"user": 1}}, ONE, "role_templates"),
        ({**CHATML, "system_message": 1}, ONE, "system_message = '1'"),
        ({**CHATML, "system_prefix_token_ids": ["1"]}, ONE, "system_prefix_token_ids"),
    ],
)
def test_what_cannot_be_used(
    template: dict[str, Any], messages: list[Message], message: str
) -> None:
    with pytest.raises(TemplateError, match=message):
        rendered(template, messages)
