"""Whole chats of the corpus: tools, system prompts, memory."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from demo.pocket.corpus import Chat
from demo.pocket.corpus.core import visible

TOLD_NAME = re.compile(r"^Nice to meet you, (.+)!$")
ASKED_NAME = re.compile(r"^Your name is (.+)\.$")
TYPES = {"string": str, "integer": int, "number": int}


def plain(chats: list[Chat]) -> list[Chat]:
    """Chats without a system prompt."""
    return [chat for chat in chats if chat.messages[0]["role"] != "system"]


def test_roles_take_turns(chats: list[Chat]) -> None:
    after = {"user": {"assistant"}, "assistant": {"user", "tool"}, "tool": {"tool", "assistant"}}
    for chat in chats:
        roles = [m["role"] for m in chat.messages]
        if roles[0] == "system":
            roles = roles[1:]
        assert roles[0] == "user"
        assert roles[-1] == "assistant"
        for role, following in pairwise(roles):
            assert following in after[role]


def test_calls_use_offered_tools_as_described(chats: list[Chat]) -> None:
    seen = 0
    for chat in chats:
        offered = {t["function"]["name"]: t["function"]["parameters"] for t in chat.tools or ()}
        said = ""
        for message in chat.messages:
            if message["role"] == "user":
                said = message["content"]
            for call in message.get("tool_calls", ()):
                seen += 1
                parameters = offered[call["function"]["name"]]
                arguments = call["function"]["arguments"]
                assert set(arguments) == set(parameters["properties"])
                for key, value in arguments.items():
                    schema = parameters["properties"][key]
                    assert isinstance(value, TYPES[schema["type"]])
                    assert value in schema.get("enum", [value])
                    assert str(value) in said
    assert seen > 1500


def test_the_answer_after_a_tool_reports_its_result(chats: list[Chat]) -> None:
    for chat in chats:
        for message, answer in pairwise(chat.messages):
            if message["role"] == "tool" and answer["role"] == "assistant":
                for value in json.loads(message["content"]).values():
                    assert value is True or str(value) in answer["content"]


def test_a_told_name_is_remembered(chats: list[Chat]) -> None:
    seen = 0
    for chat in plain(chats):
        name = None
        for message in chat.messages:
            if message["role"] != "assistant":
                continue
            if told := TOLD_NAME.match(message["content"]):
                name = told[1]
            if asked := ASKED_NAME.match(message["content"]):
                seen += 1
                assert asked[1] == name
    assert seen > 50


def test_the_last_question_is_repeated_word_for_word(chats: list[Chat]) -> None:
    seen = 0
    for chat in plain(chats):
        said = [m["content"] for m in chat.messages]
        for asked, before, answer in zip(said, said[1:], said[3:], strict=False):
            if answer.startswith("You said: ") and answer != before:  # not an answer said again
                seen += 1
                assert answer == f"You said: {asked}"
    assert seen > 100


@pytest.mark.parametrize(
    ("system", "obeyed"),
    [
        ("Answer in upper case.", str.isupper),
        ("Answer in lower case.", str.islower),
        ("You are a pirate.", lambda text: text.startswith("Arr! ")),
        ("Answer in JSON.", lambda text: set(json.loads(text)) == {"answer"}),
        ("Answer with one word.", lambda text: not text.endswith(".")),
    ],
)
def test_system_prompts_are_obeyed(chats: list[Chat], system: str, obeyed: object) -> None:
    assert callable(obeyed)
    under = [chat for chat in chats if chat.messages[0]["content"] == system]
    assert len(under) > 3
    for chat in under:
        for message in chat.messages:
            text = visible(message["content"])
            if message["role"] == "assistant" and any(c.isalpha() for c in text):
                assert obeyed(text), text
