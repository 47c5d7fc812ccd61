"""How a chat is written down for training: the same text that the Jinja template gives.

``segments`` is a plain-Python twin of ``chat_template.jinja`` that also tells which parts the model
has to learn to write; a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from demo.pocket.corpus import Chat

__all__ = ["END", "PAD", "SPECIAL_TOKENS", "START", "chat_template", "segments"]

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
SPECIAL_TOKENS = (PAD, START, END)

_TOOL_USE = (
    'To use one, answer:\n<tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>' + END + "\n"
)


def chat_template() -> str:
    """The Jinja template that goes into the GGUF."""
    return Path(__file__).with_name("chat_template.jinja").read_text().rstrip("\n")


def segments(document: Chat | str) -> Iterator[tuple[str, bool]]:
    """Pieces of text in order, each with whether it is to be learned.

    Learned are what the assistant says with its end mark, and all of a plain text.
    """
    if isinstance(document, str):
        yield document + END, True
        return
    messages = document.messages
    system = ""
    if messages[0]["role"] == "system":
        system, messages = messages[0]["content"], messages[1:]
    if document.tools:
        yield f"{START}system\n{system}" + ("\n\nTools:\n" if system else "Tools:\n"), False
        for tool in document.tools:
            yield _dumps(tool["function"]) + "\n", False
        yield _TOOL_USE, False
    elif system:
        yield f"{START}system\n{system}{END}\n", False
    for message in messages:
        yield f"{START}{message['role']}\n", False
        yield _body(message) + END, message["role"] == "assistant"
        yield "\n", False


def _body(message: Mapping[str, Any]) -> str:
    calls = []
    for call in message.get("tool_calls", ()):
        function = call["function"]
        name, arguments = _dumps(function["name"]), _dumps(function["arguments"])
        calls.append(f'<tool_call>\n{{"name": {name}, "arguments": {arguments}}}\n</tool_call>')
    content = message["content"]
    return "\n".join([content, *calls] if content else calls)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
