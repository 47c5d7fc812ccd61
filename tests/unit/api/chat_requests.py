"""Chat requests as tests make them."""

from __future__ import annotations

from typing import Any

import pytest

from webllm_py.api import ChatRequest, parse_chat_request
from webllm_py.errors import RequestError

__all__ = [
    "NAMED",
    "OTHER",
    "TOOL",
    "USER",
    "allowed",
    "parse",
    "refused",
]

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "sub"}}
NAMED = {"type": "function", "function": {"name": "add"}}


def allowed(mode: str = "auto", tools: Any = (NAMED,)) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}


def parse(**fields: Any) -> ChatRequest:
    return parse_chat_request({"messages": [USER], **fields})


def refused(fields: dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_chat_request(fields)
    return caught.value
