"""Tool calls of the pocket model: arguments are always what the tool's schema says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from made_models import SMALL, weights_of
from model_files import write_folder

import webllm_py
from webllm_py import Engine, RequestError
from webllm_py.gpu import Device

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 30}},
            "required": ["city"],
        },
    },
}
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"type": "integer"},
                "b": {"type": "integer", "maximum": 999},
                "unit": {"enum": ["m", "km"]},
            },
            "required": ["a", "b"],
        },
    },
}
TOOLS = [WEATHER, ADD]
NAMED = {"type": "function", "function": {"name": "add"}}


@pytest.fixture(scope="module")
async def pocket(device: Device) -> AsyncIterator[Engine]:
    async with await webllm_py.load(device=device, tune=False) as engine:
        yield engine


def is_valid(name: str, arguments: str) -> bool:
    values = json.loads(arguments)
    if name == "get_weather":
        return set(values) == {"city"} and len(values["city"]) <= 30
    return (
        name == "add"
        and {"a", "b"} <= set(values) <= {"a", "b", "unit"}
        and isinstance(values["a"], int)
        and values["b"] <= 999
        and values.get("unit", "m") in ("m", "km")
    )


async def ask(engine: Engine, question: str, **fields: Any) -> Any:
    """The only choice, whole and streamed, which must be the same."""
    fields = {
        "messages": [{"role": "user", "content": question}],
        "tools": TOOLS,
        "max_tokens": 120,
        "temperature": 0,
        **fields,
    }
    whole = (await engine.chat.completions.create(**fields)).choices[0]
    calls: list[dict[str, str]] = []
    content, reason = "", None
    async for piece in await engine.chat.completions.create(stream=True, **fields):
        (choice,) = piece.choices
        content += choice.delta.content or ""
        for delta in choice.delta.tool_calls or []:
            if delta.index == len(calls):
                assert delta.id and delta.type == "function" and delta.function.name
                calls.append({"name": delta.function.name, "arguments": ""})
            calls[-1]["arguments"] += delta.function.arguments
        reason = choice.finish_reason
    functions = [call.function.to_dict() for call in whole.message.tool_calls or []]
    assert (calls, content, reason) == (
        functions,
        whole.message.content or "",
        whole.finish_reason,
    )
    assert whole.message.content is None or not functions
    return whole


async def test_auto(pocket: Engine) -> None:
    choice = await ask(pocket, "What is the weather in Oslo?")
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "get_weather",
        {"city": "Oslo"},
    )
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    choice = await ask(pocket, "Hello!")
    assert choice.message.tool_calls is None and "Hello" in choice.message.content
    assert choice.finish_reason == "stop"


async def test_required_named_and_none(pocket: Engine) -> None:
    choice = await ask(pocket, "Hello!", tool_choice="required")
    (call,) = choice.message.tool_calls
    assert is_valid(call.function.name, call.function.arguments)
    choice = await ask(pocket, "What is 3 plus 4?", tool_choice=NAMED)
    (call,) = choice.message.tool_calls
    assert call.function.name == "add"
    assert json.loads(call.function.arguments) == {"a": 3, "b": 4}
    choice = await ask(pocket, "What is the weather in Oslo?", tool_choice="none")
    assert choice.message.tool_calls is None and "<tool_call>" not in choice.message.content


@pytest.mark.parametrize("seed", range(3))
async def test_required_calls_are_valid_whatever_is_drawn(pocket: Engine, seed: int) -> None:
    """At temperature 2 the model writes nonsense; only ``max_tokens`` may cut it short."""
    reply = await pocket.chat.completions.create(
        messages=[{"role": "user", "content": "Hello!"}],
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=seed % 2 == 0,
        temperature=2,
        seed=seed,
        n=2,
        max_tokens=250,
    )
    for choice in reply.choices:
        calls = [call.function for call in choice.message.tool_calls or []]
        assert len(calls) == 1 or (calls and seed % 2 == 0)
        cut = choice.finish_reason == "length"
        for function in calls[: -1 if cut else None]:
            assert is_valid(function.name, function.arguments), function
        assert cut or choice.finish_reason == "tool_calls"


async def test_a_result_is_answered(pocket: Engine) -> None:
    question = {"role": "user", "content": "What is the weather in Oslo?"}
    fields: dict[str, Any] = {"tools": TOOLS, "temperature": 0, "max_tokens": 60}
    reply = await pocket.chat.completions.create(messages=[question], **fields)
    message = reply.choices[0].message
    result = {
        "role": "tool",
        "tool_call_id": message.tool_calls[0].id,
        "content": '{"temperature": 12, "sky": "sunny"}',
    }
    reply = await pocket.chat.completions.create(messages=[question, message, result], **fields)
    assert "12" in reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"


async def test_a_schema_that_cannot_be_kept_to(pocket: Engine) -> None:
    unique = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    function = {"name": "f", "parameters": {"type": "object", "properties": {"tags": unique}}}
    messages = [{"role": "user", "content": "Hello!"}]
    for fields in ({"tool_choice": "required"}, {}):
        strict = {} if fields else {"strict": True}
        tools = [{"type": "function", "function": {**function, **strict}}]
        with pytest.raises(RequestError, match=r"'f'.*uniqueItems") as caught:
            await pocket.chat.completions.create(messages=messages, tools=tools, **fields)
        assert caught.value.param == "tools"


async def test_a_template_of_its_own_for_tools(device: Device, tmp_path: Path) -> None:
    """Hermes 2 Pro and 3 and Command R have one beside another, which knows nothing of tools."""
    folder = write_folder(tmp_path / "model", SMALL, weights_of(SMALL))
    said = "{{ messages[-1].content }}"
    tools = "{% for tool in tools %}<tools>{{ tool.function.name }}</tools><tool_call>{% endfor %}"
    templates = [
        {"name": "default", "template": f"plain: {said}"},
        {"name": "tool_use", "template": f"{tools}: {said}"},
    ]
    config = json.dumps({"chat_template": templates})
    (folder / "tokenizer_config.json").write_text(config)
    message = {"role": "user", "content": "Hi"}
    async with await webllm_py.load(folder, device=device, tune=False) as engine:

        async def read(**fields: Any) -> int:
            reply = await engine.chat.completions.create(messages=[message], max_tokens=1, **fields)
            return int(reply.usage.prompt_tokens)

        shown = "<tools>get_weather</tools><tool_call>"
        assert await read() == len("plain: Hi")
        assert await read(tools=[WEATHER]) == len(f"{shown}: Hi")
        assert await read(tools=[WEATHER], tool_choice="none") == len("plain: Hi")
