"""Messages, commands, and lines that belong together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from webllm_py.cli.conversation import Command, Conversation, read_message, said


def lines(*texts: str) -> Callable[[bool], str]:
    waiting = list(texts)

    def read(goes_on: bool) -> str:
        if not waiting:
            raise EOFError
        return waiting.pop(0)

    return read


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["Hello"], "Hello"),
        (["  Hello  ", "next"], "Hello"),
        (["one \\", "two", "next"], "one \ntwo"),
        (["one\\", "two\\", "three"], "one\ntwo\nthree"),
        (["one\\"], "one"),
        (['"""', "one", "", "two", '"""', "next"], "one\n\ntwo"),
        (['"""one', '  two"""', "next"], "one\n  two"),
        (['"""all in one"""', "next"], "all in one"),
        (['"""one', "two"], "one\ntwo"),
        (['"""', "a backslash\\", '"""'], "a backslash\\"),
        (["", "next"], ""),
    ],
)
def test_messages_of_one_and_several_lines(typed: list[str], message: str) -> None:
    assert read_message(lines(*typed)) == message


def test_the_end_of_input_is_no_message() -> None:
    with pytest.raises(EOFError):
        read_message(lines())


def test_only_the_first_line_asks_anew() -> None:
    asked: list[bool] = []
    typed = iter(["one\\", "two\\", "three"])

    def read(goes_on: bool) -> str:
        asked.append(goes_on)
        return next(typed)

    read_message(read)
    assert asked == [False, True, True]


def test_commands() -> None:
    assert Command.of("/system  You are brief. ") == Command("system", "You are brief.")
    assert Command.of("/exit") == Command("exit", "")
    assert Command.of("what is a/b?") is None
    assert Command.of("//usr/bin") is None
    assert said("//usr/bin") == "/usr/bin"
    assert said("plain") == "plain"


def test_a_conversation() -> None:
    conversation = Conversation("Be brief.")
    conversation.ask("Hi")
    conversation.answer("Hello!")
    conversation.ask("Bye")
    system = {"role": "system", "content": "Be brief."}
    greeting = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]
    assert conversation.messages == [system, *greeting, {"role": "user", "content": "Bye"}]
    conversation.answer("")  # nothing came: the question is taken back
    assert conversation.messages == [system, *greeting]
    conversation.clear()
    assert conversation.messages == [system]
    conversation.system = None
    assert conversation.messages == []
