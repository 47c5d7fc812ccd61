"""Tools, calls and results in the texts of messages, for templates that do not show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, Protocol, TypeAlias

from webllm_py.chat.capabilities import TemplateCapabilities

__all__ = ["CallWriter", "completed", "joined", "with_results", "with_single_calls", "with_tools"]

Json = dict[str, Any]
Messages: TypeAlias = Sequence[Mapping[str, Any]]

IMAGE_MARK = "\ue000image\ue001"  # stands for an image: no text that anybody writes
PART_SEPARATOR = "\n"  # between the text parts of a message, as vLLM and llama.cpp join them


class CallWriter(Protocol):
    """A ``Syntax``, or ``Harmony``."""

    def written(self, calls: Sequence[tuple[str, str]]) -> str:
        """Calls as the model writes them."""


def with_single_calls(
    messages: Messages, capabilities: TemplateCapabilities
) -> list[Mapping[str, Any]]:
    """The conversation with one call a message, its results behind it, where the template
    shows no more (Llama 3, gpt-oss)."""
    waiting, found = list(messages), list[Mapping[str, Any]]()
    while waiting:
        message = waiting.pop(0)
        calls = message.get("tool_calls", ())
        if len(calls) < 2 or capabilities.several_calls:
            found.append(message)
            continue
        for call in calls:
            found.append({**message, "tool_calls": [call]})
            message = {"role": "assistant", "content": None}  # the text stands once
            for result in takewhile(lambda m: m["role"] == "tool", [*waiting]):
                if result["tool_call_id"] == call["id"]:
                    waiting.remove(result)
                    found.append(result)
    return found


def with_results(messages: Messages, capabilities: TemplateCapabilities) -> list[Mapping[str, Any]]:
    """The conversation with results of tools in the role that the template shows, or else as the
    user's words, where those in a row are one message."""
    found: list[Mapping[str, Any]] = []
    written = False
    for message in messages:
        result = message["role"] == "tool"
        if result and (role := capabilities.result_role):
            message, result = {**message, "role": role}, False
        if result:
            text = f"<tool_response>\n{joined(message['content'])}\n</tool_response>"
            if written:
                text = f"{found.pop()['content']}\n{text}"
            message = {"role": "user", "content": text}
        found.append(message)
        written = result
    return found


def with_tools(
    messages: Messages, tools: Messages, capabilities: TemplateCapabilities, syntax: CallWriter
) -> list[Mapping[str, Any]]:
    """The conversation with the tools in a message."""
    first, *rest = messages
    system = first["role"] in ("system", "developer")
    if capabilities.system_tools:
        described = json.dumps([tool["function"] for tool in tools], ensure_ascii=False)
        given = first if system else {"role": "system", "content": ""}
        return [{**given, "tools": described}, *(rest if system else messages)]
    text = instructions(tools, syntax)
    if system:
        return [{**first, "content": f"{joined(first['content'])}\n\n{text}"}, *rest]
    if capabilities.shows_system:
        return [{"role": "system", "content": text}, *messages]
    return [{**first, "content": f"{text}\n\n{joined(first['content'])}"}, *rest]


def instructions(tools: Messages, syntax: CallWriter) -> str:
    """Tools, and how to call them, for models whose template says nothing of it."""
    described = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    example = syntax.written([("NAME", '{"ARGUMENT": "VALUE"}')])
    return (
        "You can call functions. Each is described by its name and the JSON Schema of its "
        f"arguments:\n{described}\n\nTo call one, answer with nothing but this, with its name and "
        f"its arguments filled in:\n{example.strip()}\nOnly call a function where it helps; you "
        "will get its result. Else answer as usual."
    )


def completed(tool: Mapping[str, Any]) -> Json:
    """A tool with everything that it need not have."""
    nothing = {"description": "", "parameters": {"type": "object", "properties": {}}}
    return {**tool, "function": {**nothing, **tool["function"]}}


def joined(content: Any) -> str:
    """A message's content as one text."""
    if isinstance(content, str):
        return content
    return PART_SEPARATOR.join(part.get("text", IMAGE_MARK) for part in content or ())
