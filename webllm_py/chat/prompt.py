"""From the messages of a request, in OpenAI's form, to the prompt that a model was trained on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from webllm_py.chat.habits import CallForm, TemplateHabits
from webllm_py.chat.plain import MAX_DEPTH
from webllm_py.chat.template import ChatTemplate
from webllm_py.errors import RequestError

__all__ = ["PromptBuilder"]

Json = dict[str, Any]

PART_SEPARATOR = "\n"  # between the text parts of a message, as vLLM and llama.cpp join them


class PromptBuilder:
    """Renders the conversations of requests with one template.

    Messages are brought into the form that the template expects (``TemplateHabits``):

    - text parts are joined with a newline, or a text is made a part;
    - arguments of tool calls become objects; text that is no JSON object stays text;
    - the role ``developer`` becomes ``system`` where the template does not name it.

    What a template would leave out of the prompt without a word is refused.
    """

    def __init__(self, template: ChatTemplate) -> None:
        self.template = template
        self._habits = TemplateHabits(template)

    def build(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] | None = None,
        enable_thinking: bool | None = None,
    ) -> str:
        """The prompt, ending with the opening of the model's turn.

        Args:
            messages: in the normal form of ``webllm_py.api.messages``.
            tools: functions that the model may call.
            variables: for the template, which has to know them.
            enable_thinking: handed to the template if not None; a template of a model that does
                not think need not know it.

        Raises:
            RequestError: the template has no place for a message, the tools or a variable.
            TemplateError: the template refused the conversation, or failed.
        """
        variables = variables or {}
        self._check_known(tools, variables)
        prepared = [self._prepared(message, f"messages[{i}]") for i, message in enumerate(messages)]
        switch = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
        return self.template.render(prepared, tools=tools, **variables, **switch)

    def _check_known(
        self, tools: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]
    ) -> None:
        if tools and "tools" not in self.template.variables:
            _refuse("tools", "describe the functions in a message instead")
        for name in variables:
            if name not in self.template.variables:
                names = ", ".join(sorted(self.template.variables))
                # OpenAI has this one as a field of its own.
                field = name if name == "reasoning_effort" else f"chat_template_kwargs.{name}"
                _refuse(field, f"it knows the variables {names}")

    def _prepared(self, message: Mapping[str, Any], param: str) -> Json:
        prepared = dict(message)
        if prepared["role"] == "developer" and not self._habits.developer:
            prepared["role"] = "system"
        if prepared["role"] == "system" and self._habits.drops_system:
            _refuse(f"{param}.role", "write the instructions into the first user message instead")
        if prepared["role"] == "tool" and self._habits.drops_tool_results:
            _refuse(f"{param}.role", "write the result of a tool into a user message instead")
        prepared["content"] = _content(prepared["content"], self._habits.text_parts)
        if "tool_calls" in prepared:
            form = self._habits.call_form
            if form is None:
                _refuse(f"{param}.tool_calls", "write the calls into the message's text instead")
            _use_call_form(prepared, form)
        return prepared


def _refuse(param: str, advice: str) -> NoReturn:
    raise RequestError(
        f"This model's chat template has no place for '{param}'; {advice}.",
        param=param,
        code="unsupported_parameter",
    )


def _content(content: Any, text_parts: bool) -> Any:
    if isinstance(content, str) and text_parts:
        return [{"type": "text", "text": content}]
    if isinstance(content, list) and not text_parts:
        return PART_SEPARATOR.join(part["text"] for part in content)
    return content


def _use_call_form(message: Json, form: CallForm) -> None:
    if not message["content"]:
        message["content"] = form.content
    if not form.argument_text:
        message["tool_calls"] = [_with_object(call) for call in message["tool_calls"]]


def _with_object(call: Json) -> Json:
    function = call["function"]
    arguments = _parsed(function["arguments"])
    if not isinstance(arguments, dict):
        return call
    return {**call, "function": {**function, "arguments": arguments}}


def _parsed(text: str) -> Any:
    """The JSON value of a text that a model wrote, which may be anything; None if it has none.

    Python's JSON parser recurses, and overflowing a browser's stack ends Pyodide.
    """
    depth = deepest = 0
    for bracket in re.findall(r"[][{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
