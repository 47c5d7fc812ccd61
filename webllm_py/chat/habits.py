"""What a chat template expects of the messages, found out by rendering probe conversations.

Templates were written for what transformers hands over to one model, and differ in small things.
Probing them needs no list of models, and works for templates nobody has seen yet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from webllm_py.chat.template import ChatTemplate
from webllm_py.errors import TemplateError

__all__ = ["CallForm", "TemplateHabits"]

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


class TemplateHabits:
    """Each property is found out when it is first asked for, and kept."""

    def __init__(self, template: ChatTemplate) -> None:
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
        text = self._render([{"role": "system", "content": self._text(_PROBE)}, self._question])
        return text is not None and not _shown(text)

    @cached_property
    def call_form(self) -> CallForm | None:
        """The form in which tool calls show up; None if they are left out without a word."""
        silent = False
        for argument_text in (False, True):
            for content in ("", None):
                form = CallForm(content, argument_text)
                text = self._render(self._tool_use(form, argument=_PROBE, result="answer"))
                if _shown(text):
                    return form
                silent = silent or text is not None
        return None if silent else CallForm("", False)

    @cached_property
    def drops_tool_results(self) -> bool:
        """Whether messages of the role ``tool`` are left out of the prompt without a word."""
        form = self.call_form or CallForm("", False)
        text = self._render(self._tool_use(form, argument="argument", result=_PROBE))
        return text is not None and not _shown(text)

    @property
    def _question(self) -> Json:
        return {**_USER, "content": self._text("question")}

    def _text(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self.text_parts else text

    def _tool_use(self, form: CallForm, *, argument: str, result: str) -> list[Json]:
        arguments: Any = {argument: argument}
        if form.argument_text:
            arguments = json.dumps(arguments)
        # Mistral's templates take only ids of nine letters and digits.
        call = {
            "id": "probe0001",
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
