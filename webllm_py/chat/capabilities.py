"""What a chat template expects of the messages, found out by rendering probe conversations.

Templates were written for what transformers hands over to one model, and differ in small things.
Probing them needs no list of models, and works for templates nobody has seen yet.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from webllm_py.chat.template import Template
from webllm_py.errors import TemplateError

__all__ = ["CallForm", "TemplateCapabilities"]

Json = dict[str, Any]

_PROBE = "probe_text"
_USER = {"role": "user", "content": "question"}


@dataclass(frozen=True)
class CallForm:
    """How a template wants an assistant message that calls tools.

    Attributes:
        content: what stands for "no text".
        argument_text: arguments are JSON text, not an object.
    """

    content: str | None
    argument_text: bool


class TemplateCapabilities:
    """Each property is found out when it is first asked for, and kept."""

    def __init__(self, template: Template) -> None:
        self._template = template

    @cached_property
    def text_parts(self) -> bool:
        """Whether a text shows up only when it comes as a list of parts."""
        if _shown(self._render([{"role": "user", "content": _PROBE}])):
            return False
        parts = [{"type": "text", "text": _PROBE}]
        return _shown(self._render([{"role": "user", "content": parts}]))

    @cached_property
    def developer(self) -> bool:
        """Whether the template knows the role ``developer`` by name."""
        return "developer" in self._template.source

    @cached_property
    def drops_system(self) -> bool:
        """Whether system messages are left out of the prompt without a word."""
        return self._system_prompt is not None and not _shown(self._system_prompt)

    @cached_property
    def shows_system(self) -> bool:
        """Whether system messages reach the prompt."""
        return _shown(self._system_prompt)

    @cached_property
    def system_tools(self) -> bool:
        """Whether tools are shown that come as text inside of the system message (Phi-4-mini)."""
        system = {"role": "system", "content": self._text("text"), "tools": _PROBE}
        return _shown(self._render([system, self._question]))

    @cached_property
    def call_form(self) -> CallForm | None:
        """The form in which tool calls show up; None if they are left out or refused."""
        for argument_text in (False, True):
            for content in ("", None):
                form = CallForm(content, argument_text)
                if _shown(self._render(self._tool_use(form, argument=_PROBE, result="answer"))):
                    return form
        return None

    @cached_property
    def result_role(self) -> str | None:
        """Messages of which role reach the prompt with results of tools: ``tool``, or what Granite
        3.0 calls it where the template does so by name; None if they do of neither."""
        form = self.call_form or CallForm("", False)
        *before, result = self._tool_use(form, argument="argument", result=_PROBE)
        roles = ["tool"]
        if re.search(r"""(['"])tool_response\1""", self._template.source):
            roles.append("tool_response")
        for role in roles:
            if _shown(self._render([*before, {**result, "role": role}])):
                return role
        return None

    @cached_property
    def several_calls(self) -> bool:
        """Whether the second call of one message shows up."""
        if self.call_form is None:
            return True  # they are written into the text
        first = self._tool_use(self.call_form, argument="argument", result="answer")
        second = self._tool_use(self.call_form, argument=_PROBE, result="answer", id="probe0002")
        calls = [*first[1]["tool_calls"], *second[1]["tool_calls"]]
        return _shown(
            self._render([first[0], {**first[1], "tool_calls": calls}, first[2], second[2]])
        )

    @cached_property
    def short_ids(self) -> bool:
        """Whether ids of calls must have nine letters and digits (Mistral)."""
        form = self.call_form
        return form is not None and not _shown(
            self._render(
                self._tool_use(form, argument=_PROBE, result="answer", id="call_probe0001")
            )
        )

    def keeps(self, opening: str, closing: str) -> bool:
        """Whether reasoning between these marks stays in earlier answers."""
        answer = f"{opening}\n{_PROBE}\n{closing}\n\nanswer"
        messages = [self._question, {"role": "assistant", "content": answer}, self._question]
        return _shown(self._render(messages))

    @cached_property
    def _system_prompt(self) -> str | None:
        return self._render([{"role": "system", "content": self._text(_PROBE)}, self._question])

    @property
    def _question(self) -> Json:
        return {**_USER, "content": self._text("question")}

    def _text(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self.text_parts else text

    def _tool_use(
        self, form: CallForm, *, argument: str, result: str, id: str = "probe0001"
    ) -> list[Json]:
        arguments: Any = {argument: argument}
        if form.argument_text:
            arguments = json.dumps(arguments)
        call = {
            "id": id,
            "type": "function",
            "function": {"name": "function", "arguments": arguments},
        }
        return [
            self._question,
            {"role": "assistant", "content": form.content, "tool_calls": [call]},
            {"role": "tool", "content": self._text(result), "tool_call_id": call["id"]},
        ]

    def _render(self, messages: list[Json]) -> str | None:
        """The prompt, or None if the template refuses the conversation."""
        try:
            return self._template.render(messages)
        except TemplateError:
            return None


def _shown(text: str | None) -> bool:
    """Whether the probe stands in the prompt, and not as Python would print a dict of it."""
    return text is not None and _PROBE in text and f"'{_PROBE}'" not in text
