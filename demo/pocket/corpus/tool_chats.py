"""Chats with tools: the call, the tool's result, and the answer that reports it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from .core import Chat, Draw, Noise, Turn
from .noise import disturb
from .toolbox import TOOLS, Parameter, Tool, made_up_tool

__all__ = ["tool_chat"]

_NO_TOOL = "I have no tool for that, and I do not know it myself."


class _Offer:
    """A tool as one chat offers it: one of its names, descriptions and sets of argument names."""

    def __init__(self, draw: Draw, tool: Tool):
        self.tool = tool
        self.name = draw.choice(tool.names)
        self.keys = [draw.choice(p.names) for p in tool.parameters]
        described = draw.chance(0.8)
        properties = {
            key: _schema(p, described) for key, p in zip(self.keys, tool.parameters, strict=True)
        }
        parameters: dict[str, Any] = {"type": "object", "properties": properties}
        if draw.chance(0.8):
            parameters["required"] = self.keys
        function: dict[str, Any] = {"name": self.name}
        if draw.chance(0.9):
            function["description"] = draw.choice(tool.descriptions)
        function["parameters"] = parameters
        if draw.chance(0.15):  # some renderers sort the keys
            function = json.loads(json.dumps(function, sort_keys=True))
        self.schema = {"type": "function", "function": function}


def _schema(parameter: Parameter, described: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.kind}
    if described:
        schema["description"] = parameter.description
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    return schema


def tool_chat(draw: Draw, plain: Callable[[Draw], Turn], system: str | None) -> Chat:
    """A chat in which tools are offered; ``plain`` draws turns that need none."""
    tools = draw.sample(TOOLS, 1 + draw.below(3))
    if draw.chance(0.3):
        tools[draw.below(len(tools))] = made_up_tool(draw)
    offers = [_Offer(draw, tool) for tool in tools]
    names = [offer.name for offer in offers]
    if len(set(names)) < len(names):
        return tool_chat(draw, plain, system)
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    families = []
    for _ in range(draw.choice((1, 1, 2, 3))):
        kind = draw.random()
        if kind < 0.72:
            messages += _call(draw, draw.choice(offers))
            families.append("tool_call")
        elif kind < 0.82:
            messages += _without_tool(draw, offers)
            families.append("tool_missing")
        else:
            turn = plain(draw)
            messages.append({"role": "user", "content": disturb(draw, turn.user, turn.noise)})
            messages.append({"role": "assistant", "content": turn.reply})
            families.append(turn.family)
    return Chat(messages, [offer.schema for offer in offers], families)


def _call(draw: Draw, offer: _Offer) -> list[dict[str, Any]]:
    """Question, call, result and answer; now and then two calls, or a question back first."""
    tool = offer.tool
    count = 2 if len(tool.parameters) == 1 and tool.missing and draw.chance(0.12) else 1
    drawn = [[p.values(draw) for p in tool.parameters] for _ in range(count)]
    if count == 2:
        joined = f"{drawn[0][0]} and {drawn[1][0]}"
        user = draw.choice(tool.asks).format(joined)
    else:
        user = draw.choice(tool.asks).format(*drawn[0], name=offer.name)
    messages: list[dict[str, Any]] = []
    if tool.missing and count == 1 and draw.chance(0.12):
        question, asks = tool.missing
        ask = disturb(draw, draw.choice(asks), Noise.CASE)
        messages.append({"role": "user", "content": ask})
        messages.append({"role": "assistant", "content": question})
        user = str(drawn[0][0])
    elif draw.chance(0.3):
        user = user.rstrip(".?")
    messages.append({"role": "user", "content": user})
    calls, results, sentences = [], [], []
    for arguments in drawn:
        result, sentence = tool.answer(draw, arguments)
        named = dict(zip(offer.keys, arguments, strict=True))
        calls.append({"type": "function", "function": {"name": offer.name, "arguments": named}})
        results.append({"role": "tool", "content": json.dumps(result)})
        sentences.append(sentence)
    messages.append({"role": "assistant", "content": "", "tool_calls": calls})
    messages += results
    messages.append({"role": "assistant", "content": " ".join(sentences)})
    return messages


def _without_tool(draw: Draw, offers: Sequence[_Offer]) -> list[dict[str, Any]]:
    """A question for a tool that is not offered."""
    offered = {offer.tool.names for offer in offers}
    tool = draw.choice([t for t in TOOLS if t.names not in offered and t.names[0] != "calculator"])
    if tool.names[0] == "translate":  # some words it knows by itself
        return _without_tool(draw, offers)
    user = draw.choice(tool.asks).format(*(p.values(draw) for p in tool.parameters))
    return [{"role": "user", "content": user}, {"role": "assistant", "content": _NO_TOOL}]
