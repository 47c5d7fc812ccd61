"""MLC's conversation templates: separators and roles in the place of a Jinja text.

The protocol is mlc_llm's (mlc_llm/protocol/conversation_protocol.py), which WebLLM follows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from webllm_py.errors import TemplateError

__all__ = ["ConversationTemplate"]

USUAL_ROLES = {name: f"{{{name}_message}}" for name in ("user", "assistant", "tool")}
FUNCTIONS = "{function_string}"
NO_THOUGHTS = "<think>\n\n</think>\n\n"
THOUGHTS = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)


class ConversationTemplate:
    """A ``conv_template`` of mlc-chat-config.json, in the place of a ``ChatTemplate``.

    A system message of the conversation stands for the template's own, and must come first.

    Args:
        template: the object.
        token_text: a token's text, for ``system_prefix_token_ids``.

    Attributes:
        source: the object as JSON.
        stop: texts at which an answer ends.
        ends: tokens that end it.

    Raises:
        TemplateError: a field is missing or of another kind.
    """

    def __init__(self, template: Mapping[str, Any], token_text: Callable[[int], str]) -> None:
        self.source = json.dumps(template, default=str)
        self._system = _text(template, "system_template", "{system_message}")
        self._message = _text(template, "system_message", "")
        self._roles = _texts(template, "roles")
        self._templates = {**USUAL_ROLES, **_texts(template, "role_templates", {})}
        self._seps = _list(template, "seps", str)
        self._content_sep = _text(template, "role_content_sep", "")
        self._empty_sep = _text(template, "role_empty_sep", "")
        self._role_after_system = template.get("add_role_after_system_message") is not False
        self._strip_thoughts = template.get("strip_reasoning_in_history") is True
        self._prefix = "".join(map(token_text, _list(template, "system_prefix_token_ids", int)))
        self.stop = tuple(filter(None, _list(template, "stop_str", str)))
        self.ends = frozenset(_list(template, "stop_token_ids", int))
        if len(self._seps) not in (1, 2) or not {"user", "assistant"} <= self._roles.keys():
            raise TemplateError(
                "The conversation template needs one or two seps, and the roles user and assistant."
            )
        names = {"messages", "add_generation_prompt", "enable_thinking"}
        forms = (self._system, *self._templates.values())
        tools = {"tools"} if any(FUNCTIONS in form for form in forms) else set()
        self._variables = frozenset(names | tools)

    @property
    def variables(self) -> frozenset[str]:
        """Names of what ``render`` looks at."""
        return self._variables

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        /,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
        **variables: Any,
    ) -> str:
        """The prompt of a conversation; see ``ChatTemplate.render``.

        ``enable_thinking=False`` begins the answer with an empty thought, as WebLLM does.

        Raises:
            TemplateError: a role that the template does not know, or a system message that is not
                the first.
        """
        message = self._message
        if messages and messages[0]["role"] == "system":
            message, messages = _content(messages[0]), messages[1:]
        forms = [self._system, *(self._form(turn["role"]) for turn in messages)]
        functions = json.dumps([tool["function"] for tool in tools or ()]) if tools else ""
        forms = with_functions(forms, functions)
        system = forms[0].replace("{system_message}", message)
        parts = [self._prefix, system]
        for i, (turn, form) in enumerate(zip(messages, forms[1:], strict=True)):
            if i or not system or self._role_after_system:
                parts.append(self._roles[turn["role"]] + self._content_sep)
            parts.append(self._turn(turn["role"], _content(turn), form))
        if add_generation_prompt:
            thoughts = "" if variables.get("enable_thinking", True) else NO_THOUGHTS
            parts.append(self._roles["assistant"] + self._empty_sep + thoughts)
        return "".join(parts)

    def _form(self, role: str) -> str:
        """The template of a role's messages."""
        if role not in self._roles:
            what = "must be the first" if role == "system" else "have no place in it"
            raise TemplateError(
                f"The model's conversation template knows the roles {', '.join(self._roles)}; "
                f"messages of the role {role!r} {what}."
            )
        form: str = self._templates.get(role, f"{{{role}_message}}")
        return form

    def _turn(self, role: str, content: str, form: str) -> str:
        """A message and what separates it from the next one."""
        if role == "assistant" and self._strip_thoughts:
            content = THOUGHTS.sub("", content)
        separator: str = self._seps[-1 if role == "assistant" else 0]
        return form.replace(f"{{{role}_message}}", content) + separator


def with_functions(forms: Sequence[str], functions: str) -> list[str]:
    """The last of the places for functions filled, the others emptied."""
    places = [i for i, form in enumerate(forms) if FUNCTIONS in form]
    made = [form.replace(FUNCTIONS, "") for form in forms]
    if places:
        before, _, after = forms[places[-1]].rpartition(FUNCTIONS)
        made[places[-1]] = before.replace(FUNCTIONS, "") + functions + after
    return made


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _wrong(name: str, value: Any) -> TemplateError:
    return TemplateError(
        f"The conversation template of mlc-chat-config.json has {name} = {str(value)[:80]!r}."
    )


def _text(template: Mapping[str, Any], name: str, default: str) -> str:
    value = template.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise _wrong(name, value)
    return value


def _texts(
    template: Mapping[str, Any], name: str, default: Mapping[str, str] | None = None
) -> dict[str, str]:
    value = template.get(name)
    if value is None and default is not None:
        return dict(default)
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise _wrong(name, value)
    return value


def _list(template: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    value = template.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(type(item) is kind for item in value):
        raise _wrong(name, value)
    return value
