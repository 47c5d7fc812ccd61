"""The ``messages`` and ``tools`` of a chat request, checked.

A message's normal form is a dict of JSON values with ``role`` and ``content`` always there and no
other key that is null:

- ``content``: a string, or a list of ``{"type": "text", "text": ...}`` and, of users,
  ``{"type": "image", "image": ..., "detail": ...}``; None only beside ``tool_calls``. The image is
  a ``data:image/`` URL, an http(s) address, or what ``webllm_py.images.source`` takes besides.
- assistant: ``tool_calls``, each ``{"id", "type": "function", "function": {"name", "arguments"}}``
  with ``arguments`` as the text that the model wrote; ``reasoning_content``.
- tool: ``tool_call_id``.
- any: ``name``.
"""

from __future__ import annotations

import json
import re
from typing import Any

from webllm_py.api.checks import (
    boolean,
    fail,
    items,
    json_object,
    mapping,
    one_of,
    refuse_unknown,
    text,
    wrong_type,
)

__all__ = ["parse_messages", "parse_tools"]

Json = dict[str, Any]

ROLES = ("system", "developer", "user", "assistant", "tool")
_ROLE_FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "reasoning_content"},
    "tool": {"role", "content", "name", "tool_call_id"},
}
# Fields of OpenAI's answers; a program that sends an answer back as a message sends them along.
_ANSWER_FIELDS = {"refusal", "annotations", "audio", "function_call"}
# What the openai package's ``parse`` adds to answers: the same once more, as objects of a program.
_PARSED = {"message": "parsed", "function": "parsed_arguments"}
_UNSUPPORTED_PARTS = ("input_audio", "file", "refusal", "video_url")
EXAMPLE = "[{'role': 'user', 'content': 'Hello!'}]"
_DETAILS = ("auto", "low", "high")


def parse_messages(value: Any) -> tuple[Json, ...]:
    """The conversation in normal form.

    Raises:
        RequestError: its ``param`` names the place, as in ``messages[1].content[0].text``.
    """
    if not isinstance(value, list | tuple):
        wrong_type("messages", f"a list of messages, as in {EXAMPLE}", value)
    messages = items(value, "messages")
    if not messages:
        fail("messages", "must hold at least one message.")
    return tuple(_message(message, f"messages[{i}]") for i, message in enumerate(messages))


def parse_tools(value: Any) -> tuple[Json, ...]:
    """The functions offered to the model; none for an empty list.

    Raises:
        RequestError: its ``param`` names the place, as in ``tools[0].function.name``.
    """
    tools = tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(items(value, "tools")))
    names = [tool["function"]["name"] for tool in tools]
    for i, name in enumerate(names):
        if name in names[:i]:
            fail(f"tools[{i}].function.name", f"{name!r} is given twice.")
    return tools


def _message(value: Any, param: str) -> Json:
    fields = mapping(value, param)
    if "role" not in fields:
        fail(f"{param}.role", "is missing.", code="missing_required_parameter")
    role = one_of(fields["role"], f"{param}.role", ROLES)
    fields = _without_answer_fields(fields, param) if role == "assistant" else fields
    refuse_unknown(fields, _ROLE_FIELDS[role], param)
    given = {name: value for name, value in fields.items() if value is not None}

    message: Json = {"role": role, "content": None}
    if "content" in given:
        message["content"] = _content(given["content"], f"{param}.content", role)
    if "name" in given:
        message["name"] = text(given["name"], f"{param}.name", empty=False)
    if "reasoning_content" in given:
        message["reasoning_content"] = text(
            given["reasoning_content"], f"{param}.reasoning_content"
        )
    if "tool_calls" in given:
        calls = _tool_calls(given["tool_calls"], f"{param}.tool_calls")
        message.update({"tool_calls": calls} if calls else {})
    if role == "tool":
        message["tool_call_id"] = _required(given, "tool_call_id", param)
    if message["content"] is None and "tool_calls" not in message:
        fail(f"{param}.content", "is missing.", code="missing_required_parameter")
    return message


def _without_answer_fields(fields: Json, param: str) -> Json:
    kept = {}
    for name, value in fields.items():
        if name == _PARSED["message"]:
            continue
        if name not in _ANSWER_FIELDS:
            kept[name] = value
        elif value is not None and not (isinstance(value, list) and not value):
            fail(f"{param}.{name}", "is not supported yet.", code="unsupported_parameter")
    return kept


def _content(value: Any, param: str, role: str) -> str | list[Json]:
    if isinstance(value, str):
        return text(value, param)
    if not isinstance(value, list | tuple):
        wrong_type(param, "a string or a list of parts", value)
    if not value:
        fail(param, "must hold at least one part.")
    return [_part(part, f"{param}[{i}]", role) for i, part in enumerate(value)]


def _part(value: Any, param: str, role: str) -> Json:
    part = mapping(value, param)
    kind = _required(part, "type", param)
    if kind in _UNSUPPORTED_PARTS:
        fail(
            f"{param}.type",
            f"is {kind!r}, which is not supported yet; send text and image_url parts only.",
            code="unsupported_value",
        )
    one_of(kind, f"{param}.type", ["text", "image_url", "image"])
    if kind != "text":
        if role != "user":
            fail(f"{param}.type", f"is {kind!r}; only users' messages may have images.")
        return _image_url(part, param) if kind == "image_url" else _image(part, param)
    refuse_unknown(part, ["type", "text"], param)
    if "text" not in part:
        fail(f"{param}.text", "is missing.", code="missing_required_parameter")
    return {"type": "text", "text": text(part["text"], f"{param}.text")}


def _image_url(part: Json, param: str) -> Json:
    """OpenAI's part."""
    refuse_unknown(part, ["type", "image_url"], param)
    path = f"{param}.image_url"
    if part.get("image_url") is None:
        fail(path, "is missing.", code="missing_required_parameter")
    fields = mapping(part["image_url"], path)
    refuse_unknown(fields, ["url", "detail"], path)
    url = _address(_required(fields, "url", path), f"{path}.url")
    return {"type": "image", "image": url, "detail": _detail(fields, path)}


def _image(part: Json, param: str) -> Json:
    """transformers' part, which has what Python knows as an image."""
    refuse_unknown(part, ["type", "image", "detail"], param)
    image = part.get("image")
    if image is None:
        fail(f"{param}.image", "is missing.", code="missing_required_parameter")
    if isinstance(image, str):
        image = _address(image, f"{param}.image")
    return {"type": "image", "image": image, "detail": _detail(part, param)}


def _address(url: str, param: str) -> str:
    if not re.match("(data:image/|https?://)", url, re.IGNORECASE):
        shown = url if len(url) < 80 else f"{url[:76]} ..."
        fail(param, f"must begin with 'data:image/', 'http://' or 'https://', not {shown!r}.")
    return url


def _detail(fields: Json, param: str) -> str:
    detail = fields.get("detail")
    return one_of("auto" if detail is None else detail, f"{param}.detail", _DETAILS)


def _tool_calls(value: Any, param: str) -> list[Json]:
    return [_tool_call(call, f"{param}[{i}]") for i, call in enumerate(items(value, param))]


def _tool_call(value: Any, param: str) -> Json:
    call = mapping(value, param)
    refuse_unknown(call, ["id", "type", "function", "index"], param)
    _only_functions(call, param)
    function = mapping(call.get("function"), f"{param}.function")
    refuse_unknown(function, ["name", "arguments", _PARSED["function"]], f"{param}.function")
    return {
        "id": _required(call, "id", param),
        "type": "function",
        "function": {
            "name": _required(function, "name", f"{param}.function"),
            "arguments": _arguments(function.get("arguments"), f"{param}.function.arguments"),
        },
    }


def _arguments(value: Any, param: str) -> str:
    """OpenAI sends the JSON text that the model wrote; an object is accepted and written out."""
    if isinstance(value, str):
        return text(value, param)
    if value is None:
        fail(param, "is missing.", code="missing_required_parameter")
    return json.dumps(json_object(value, param), ensure_ascii=False)


def _tool(value: Any, param: str) -> Json:
    tool = mapping(value, param)
    refuse_unknown(tool, ["type", "function"], param)
    _only_functions(tool, param)
    function = json_object(tool.get("function"), f"{param}.function")
    path = f"{param}.function"
    refuse_unknown(function, ["name", "description", "parameters", "strict", "return"], path)
    name = _required(function, "name", path)
    if not re.fullmatch(r"[\w.-]{1,128}", name):
        fail(f"{path}.name", "may have up to 128 letters, digits, '_', '-' and '.' only.")
    checked: Json = {"name": name}
    if function.get("description") is not None:
        checked["description"] = text(function["description"], f"{path}.description")
    if function.get("parameters") is not None:
        checked["parameters"] = mapping(function["parameters"], f"{path}.parameters")
    if function.get("return") is not None:  # what transformers' get_json_schema adds
        checked["return"] = mapping(function["return"], f"{path}.return")
    if function.get("strict") is not None and boolean(function["strict"], f"{path}.strict"):
        checked["strict"] = True
    return {"type": "function", "function": checked}


def _only_functions(fields: Json, param: str) -> None:
    kind = _required(fields, "type", param)
    if kind != "function":
        fail(
            f"{param}.type",
            "must be 'function'; other kinds of tool are not supported yet.",
            code="unsupported_value",
        )


def _required(fields: Json, name: str, param: str) -> str:
    path = f"{param}.{name}"
    if fields.get(name) is None:
        fail(path, "is missing.", code="missing_required_parameter")
    return text(fields[name], path, empty=False)
