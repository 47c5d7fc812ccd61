"""JSON values and call objects in text that comes in pieces."""

from __future__ import annotations

import json
import re

from webllm_py.chat.pieces import Piece
from webllm_py.chat.tools.reader import Reader

__all__ = ["JsonValue", "NamedReader", "ObjectReader"]

SPACE = " \t\r\n"
# Of the object's own keys: Hermes and most others say "arguments", Llama "parameters"; Cohere has
# "tool_name" for "name".
LONGEST_NAME = 512  # characters, with the marks around it
ARGUMENTS = ("arguments", "parameters")
NAMES = ("name", "tool_name")


class JsonValue:
    """Finds where a JSON value ends. It is not checked: what is no JSON ends somewhere, too."""

    def __init__(self) -> None:
        self.done = False
        self._depth = 0
        self._begun = self._quoted = self._escaped = False

    def take(self, text: str, at: int) -> int:
        """Read on from a place in the text; where the value, or the text, ends."""
        while at < len(text) and not self.done:
            character = text[at]
            if self._quoted:
                self._in_string(character)
            elif not self._depth and self._begun and character in ",]}" + SPACE:
                self.done = True
                break
            elif character == '"':
                self._quoted = True
            elif character in "[{":
                self._depth += 1
            elif character in "]}":
                self._depth -= 1
                self.done = self._depth <= 0
            self._begun = True
            at += 1
        return at

    def _in_string(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif character == "\\":
            self._escaped = True
        elif character == '"':
            self._quoted = False
            self.done = not self._depth


class ObjectReader(Reader):
    """``{"name": ..., "arguments": {...}}``, in any order, "parameters" for "arguments".

    Args:
        names: the functions that there are, where an object could also be something else; None
            where the format says that it is a call.
    """

    def __init__(self, names: frozenset[str] | None = None):
        super().__init__()
        self._names = names
        self._place = "start"
        self._key = ""
        self._value = JsonValue()
        self._text = ""  # of the key or value that is being read
        self._early = ""  # arguments that came before the name
        self._first = ""
        self._has_arguments = False

    def read(self, text: str) -> list[Piece]:
        pieces: list[Piece] = []
        at = 0
        while at < len(text) and not (self.done or self.failed):
            if self._place in ("key", "value"):
                end = self._value.take(text, at)
                pieces += self._take(text[at:end])
                at = end
            else:
                self._mark(text[at])
                at += not self.failed
        self.rest = text[at:]
        if self.done:
            pieces += self._last()
        return pieces

    def _mark(self, character: str) -> None:
        """A character between keys and values."""
        if character in SPACE:
            return
        expected = {"start": "{", "colon": ":"}.get(self._place)
        if self._place == "before value":
            self._begin("value", character)
        elif self._place == "open" and character == '"':
            self._begin("key", character)
        elif self._place in ("open", "comma") and character == "}":
            self.done = True
        elif self._place == "comma" and character == ",":
            self._place = "open"
        elif character == expected:
            self._place = "open" if self._place == "start" else "before value"
        else:
            self.failed = True

    def _begin(self, place: str, character: str) -> None:
        self._place, self._text, self._value = place, "", JsonValue()
        self._value.take(character, 0)
        self._first = character

    def _take(self, text: str) -> list[Piece]:
        first, self._first = self._first, ""
        self._text += first + text
        if self._place == "key":
            if self._value.done:
                self._key, self._place = loaded(self._text), "colon"
            return []
        pieces = self._streamed(first + text) if self._key in ARGUMENTS else []
        if self._value.done:
            self._place = "comma"
            pieces += self._finished()
        return pieces

    def _streamed(self, text: str) -> list[Piece]:
        """Arguments as they come; text in quotes is JSON inside of JSON, and waits for its end."""
        self._has_arguments = True
        if self._text.startswith('"'):
            return []
        if not self.named:
            self._early += text
            return []
        return [Piece("arguments", text)] if text else []

    def _finished(self) -> list[Piece]:
        """A whole value was read."""
        if self._key in ARGUMENTS and self._text.startswith('"'):
            inner = loaded(self._text)
            if self.named:
                return [Piece("arguments", inner)]
            self._early = inner
        if self._key in NAMES:
            name = loaded(self._text)
            if not name or (self._names is not None and name not in self._names):
                self.failed = True
                return []
            self.named = True
            early, self._early = self._early, ""
            return [Piece("name", name), *([Piece("arguments", early)] if early else [])]
        return []

    def _last(self) -> list[Piece]:
        self.failed = not self.named
        self.done = self.named
        missing = self.named and not self._has_arguments
        return [Piece("arguments", "{}")] if missing else []


class NamedReader(Reader):
    """A name between two marks, and a JSON value.

    Args:
        head: stands before the name.
        middle: stands between the name and the value.
    """

    def __init__(self, head: str, middle: str):
        super().__init__()
        self._name = re.compile(rf"{loose(head)}(.*?){loose(middle)}", re.DOTALL)
        self._text = ""
        self._value = JsonValue()
        self._begun = False

    def read(self, text: str) -> list[Piece]:
        if self.named:
            return self._arguments(text)
        self._text += text
        found = self._name.match(self._text)
        if not found:
            self.failed = len(self._text) > LONGEST_NAME
            return []
        self.named = True
        return [Piece("name", found[1].strip()), *self._arguments(self._text[found.end() :])]

    def _arguments(self, text: str) -> list[Piece]:
        begin = 0 if self._begun else len(text) - len(text.lstrip())
        end = self._value.take(text, begin)
        self._begun = self._begun or end > begin
        self.done, self.rest = self._value.done, text[end:]
        return [Piece("arguments", text[begin:end])] if end > begin else []


def loose(text: str) -> str:
    """A pattern of a fixed text with any white space in it."""
    return r"\s*".join(map(re.escape, text.split())) if text.strip() else ""


def loaded(text: str) -> str:
    """The text of a JSON string, as it stands if it is none."""
    try:
        value = json.loads(text, strict=False)
    except ValueError:
        return text.strip('"')
    return value if isinstance(value, str) else text
