"""From the messages of a request, in OpenAI's form, to the prompt that a model was trained on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from typing import Any, NoReturn

from webllm_py.chat.capabilities import CallForm, TemplateCapabilities
from webllm_py.chat.plain import MAX_DEPTH
from webllm_py.chat.reasoning import Marks
from webllm_py.chat.template import Template
from webllm_py.chat.tool_texts import (
    IMAGE_MARK,
    CallWriter,
    completed,
    joined,
    with_results,
    with_single_calls,
    with_tools,
)
from webllm_py.chat.tools.syntax import GENERIC
from webllm_py.errors import RequestError, TemplateError

__all__ = ["IMAGE_MARK", "PromptBuilder"]

Json = dict[str, Any]

END_MARK = "\ue000webllm_py\ue001"  # private use: no text that anybody writes
THINKING = "message.thinking"  # what gpt-oss's template calls the reasoning


class PromptBuilder:
    """Renders the conversations of requests with one template.

    Messages are brought into the form that the template expects (``TemplateCapabilities``):

    - text parts are joined with a newline, or a text is made a part;
    - arguments of tool calls become objects; text that is no JSON object stays text;
    - the role ``developer`` becomes ``system`` where the template does not name it;
    - tools, calls and results that it has no place for are written into the texts of messages, and
      several calls become one after the other where it shows one;
    - reasoning in earlier answers is taken out where it does not do so itself;
    - images become ``IMAGE_MARK``, on a line of their own where the template knows texts alone.

    What else a template would leave out of the prompt without a word is refused.

    Args:
        syntax: how the model writes calls.
        reasoning: the marks of its reasoning.
        placeholder: what the template writes for an image; empty if it knows texts alone.
    """

    def __init__(
        self,
        template: Template,
        syntax: CallWriter = GENERIC,
        reasoning: Marks | None = None,
        placeholder: str = "",
    ) -> None:
        self.template = template
        self._capabilities = TemplateCapabilities(template)
        self._syntax = syntax
        self._reasoning = reasoning
        self._placeholder = placeholder

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts at which every answer ends, whatever the request says."""
        return self.template.stop

    def build(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] | None = None,
        enable_thinking: bool | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
    ) -> str:
        """The prompt, ending with the opening of the model's turn.

        Args:
            messages: in the normal form of ``webllm_py.api.messages``.
            tools: functions that the model may call.
            variables: for the template, which has to know them.
            enable_thinking: handed to the template if not None. Where it does not know it, False
                ends the prompt with reasoning that is over, and nothing else has an effect.
            add_generation_prompt: whether to open the model's turn.
            continue_final_message: end within the last message instead, right behind its text.

        Raises:
            RequestError: the template has no place for a message or a variable.
            TemplateError: the template refused the conversation, or failed.
        """
        variables = variables or {}
        self._check_known(variables)
        given = {**variables, "add_generation_prompt": add_generation_prompt}
        if enable_thinking is not None:
            given["enable_thinking"] = enable_thinking
        text = self._rendered(messages, tools, given, continues=continue_final_message)
        known = "enable_thinking" in self.template.variables
        opened = add_generation_prompt and not continue_final_message
        if enable_thinking is False and self._reasoning and opened and not known:
            return self._reasoning.closed(text)
        return text

    def _rendered(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        given: Mapping[str, Any],
        *,
        continues: bool,
    ) -> str:
        messages = with_results(with_single_calls(messages, self._capabilities), self._capabilities)

        def rendered(messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] = ()) -> str:
            prepared = [self._prepared(each, f"messages[{i}]") for i, each in enumerate(messages)]
            if continues and prepared[-1]["content"]:
                prepared[-1]["content"] = _marked(prepared[-1]["content"])
            text = self.template.render(prepared, tools=tools, **given)
            if self._placeholder:
                text = text.replace(self._placeholder, IMAGE_MARK)
                text = text.replace(_hidden(self._placeholder), self._placeholder)
            return _up_to_mark(text) if continues else text

        if not tools:
            return rendered(messages)
        if "tools" in self.template.variables:
            # Templates fail where a tool has no description, or a schema that they did not expect.
            for form in (tools, [completed(tool) for tool in tools]):
                with suppress(TemplateError):
                    return rendered(messages, form)
        return rendered(with_tools(messages, tools, self._capabilities, self._syntax))

    def _check_known(self, variables: Mapping[str, Any]) -> None:
        for name in variables:
            if name not in self.template.variables:
                names = ", ".join(sorted(self.template.variables))
                # OpenAI has this one as a field of its own.
                field = name if name == "reasoning_effort" else f"chat_template_kwargs.{name}"
                _refuse(field, f"it knows the variables {names}")

    def _prepared(self, message: Mapping[str, Any], param: str) -> Json:
        prepared = dict(message)
        if prepared["role"] == "developer" and not self._capabilities.developer:
            prepared["role"] = "system"
        if prepared["role"] == "system" and self._capabilities.drops_system:
            _refuse(f"{param}.role", "write the instructions into the first user message instead")
        if prepared["role"] == "assistant":
            self._prepare_answer(prepared)
        if "tool_call_id" in prepared and self._capabilities.short_ids:
            prepared["tool_call_id"] = _short(prepared["tool_call_id"])
        if self._placeholder:
            prepared["content"] = _with_images(prepared["content"], self._placeholder)
        elif _has_image(prepared["content"]):
            prepared["content"] = joined(prepared["content"])
        prepared["content"] = _content(prepared["content"], self._capabilities.text_parts)
        return prepared

    def _prepare_answer(self, message: Json) -> None:
        if self._reasoning and self._keeps_reasoning and message["content"]:
            thought, message["content"] = self._reasoning.split(joined(message["content"]))
            if thought:
                message.setdefault("reasoning_content", thought)
        if "tool_calls" in message:
            form = self._capabilities.call_form
            if form is None:
                calls = [call["function"] for call in message.pop("tool_calls")]
                text = self._syntax.written([(c["name"], c["arguments"]) for c in calls])
                before = joined(message["content"] or "")
                message["content"] = f"{before}\n{text}" if before else text
            else:
                _use_call_form(message, form, self._capabilities.short_ids)
        both = message["content"] and "tool_calls" in message  # of which gpt-oss's takes one
        if "reasoning_content" in message and THINKING in self.template.source and not both:
            message["thinking"] = message["reasoning_content"]

    @cached_property
    def _keeps_reasoning(self) -> bool:
        marks = self._reasoning
        return marks is not None and self._capabilities.keeps(marks.opening, marks.closing)


def _marked(content: Any) -> Any:
    """The content with a mark at its end, where templates that trim texts leave white space."""
    if isinstance(content, str):
        return content + END_MARK
    *parts, last = content
    return [*parts, {**last, "text": last["text"] + END_MARK}]


def _up_to_mark(text: str) -> str:
    begun, mark, _ = text.rpartition(END_MARK)
    if not mark:
        _refuse("continue_final_message", "it changes the text of a message")
    return begun


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
        return content if _has_image(content) else joined(content)
    return content


def _has_image(content: Any) -> bool:
    return isinstance(content, list) and any(part["type"] == "image" for part in content)


def _hidden(placeholder: str) -> str:
    """The same text, not to be taken for an image: a user may write it."""
    return f"{placeholder[0]}\ue002{placeholder[1:]}"


def _with_images(content: Any, placeholder: str) -> Any:
    """The content with images as templates know them, and no text that looks like one."""
    if isinstance(content, str):
        return content.replace(placeholder, _hidden(placeholder))
    if not isinstance(content, list):
        return content
    return [
        {**part, "text": part["text"].replace(placeholder, _hidden(placeholder))}
        if part["type"] == "text"
        else {"type": "image"}
        for part in content
    ]


def _use_call_form(message: Json, form: CallForm, short_ids: bool) -> None:
    if not message["content"]:
        message["content"] = form.content
    if not form.argument_text:
        message["tool_calls"] = [_with_object(call) for call in message["tool_calls"]]
    if short_ids:
        message["tool_calls"] = [
            {**call, "id": _short(call["id"])} for call in message["tool_calls"]
        ]


def _short(id: str) -> str:
    """The id itself if it has nine letters and digits, else nine that it gives."""
    if re.fullmatch("[a-zA-Z0-9]{9}", id):
        return id
    return sha256(id.encode()).hexdigest()[:9]


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
