"""gpt-oss: an answer is a row of messages, each on a channel, some to a tool (OpenAI's harmony)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from webllm_py.chat.pieces import Kind, Parser, Piece, held_back

__all__ = ["HARMONY", "Harmony", "HarmonyParser"]

CHANNEL, MESSAGE, START = "<|channel|>", "<|message|>", "<|start|>"
END, CALL, RETURN, CONSTRAIN = "<|end|>", "<|call|>", "<|return|>", "<|constrain|>"
LONGEST_HEADER = 512
RECIPIENT = re.compile(r"to=(?:functions\.)?([^\s<]+)")


class HarmonyParser:
    """Reasoning is what stands on the channel "analysis", calls are what goes to a function."""

    def __init__(self) -> None:
        self._text = ""
        self._header: str | None = ""  # None inside of a message
        self._kind: Kind = "content"
        self._blank = True  # nothing of this message was shown yet

    def push(self, text: str) -> list[Piece]:
        self._text += text
        pieces: list[Piece] = []
        while self._text:
            before = len(self._text), self._header
            pieces += self._message() if self._header is None else self._heading()
            if before == (len(self._text), self._header):
                break
        return pieces

    def end(self) -> list[Piece]:
        text, self._text = self._text, ""
        if self._header is None or self._headless(text):
            return self._shown(text.rstrip() if self._kind == "reasoning" else text)
        return []

    def _headless(self, text: str) -> bool:
        """Whether what stands where a header should is none."""
        begin = text.lstrip()
        marks = (CHANNEL, START, MESSAGE, CONSTRAIN, "to=", "assistant")
        return bool(begin) and not any(m.startswith(begin) or begin.startswith(m) for m in marks)

    def _heading(self) -> list[Piece]:
        header, found, rest = self._text.partition(MESSAGE)
        if self._headless(self._text) or len(header) > LONGEST_HEADER:
            self._header, self._kind = None, "content"
            return []
        if not found:
            return []
        self._text, self._header, self._blank = rest, None, True
        recipient = RECIPIENT.search(header)
        if recipient:
            self._kind = "arguments"
            return [Piece("name", recipient[1])]
        self._kind = "reasoning" if f"{CHANNEL}analysis" in header else "content"
        return []

    def _message(self) -> list[Piece]:
        marks = (END, CALL, RETURN, START, CHANNEL)
        places = [(place, mark) for mark in marks if (place := self._text.find(mark)) >= 0]
        if not places:
            size = len(self._text) - held_back(self._text, marks)
            text, self._text = self._text[:size], self._text[size:]
            return self._shown(text)
        place, mark = min(places)
        text, self._text = self._text[:place], self._text[place:]
        if mark not in (START, CHANNEL):
            self._text = self._text[len(mark) :]
        self._header = ""
        return self._shown(text.rstrip())

    def _shown(self, text: str) -> list[Piece]:
        if self._blank:
            text = text.lstrip()
        self._blank = self._blank and not text
        return [Piece(self._kind, text)] if text else []


class Harmony:
    """The syntax of its calls, as the other families have ``Syntax``."""

    marks = (CHANNEL, MESSAGE, START, END, CONSTRAIN)

    def parser(self, tools: Mapping[str, Any]) -> Parser:
        """Reads answers, whether there are tools or not."""
        return HarmonyParser()

    def written(self, calls: Sequence[tuple[str, str]]) -> str:
        """Calls as the model writes them."""
        return f"{END}{START}assistant".join(
            f"{CHANNEL}commentary to=functions.{name} {CONSTRAIN}json{MESSAGE}{arguments}"
            for name, arguments in calls
        )


HARMONY = Harmony()
