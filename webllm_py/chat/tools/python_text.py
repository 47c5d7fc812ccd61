"""Calls as Python writes them: ``f(a=1, b="x")``."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

from webllm_py.chat.pieces import Piece
from webllm_py.chat.plain import MAX_DEPTH
from webllm_py.chat.tools.reader import Reader

__all__ = ["CALL", "PythonReader"]

CALL = re.compile(r"([\w.-]+)\(")
WORDS = {"true": True, "false": False, "null": None}


class PythonReader(Reader):
    """Reads one call; its arguments come out as JSON, each once it is complete.

    Args:
        names: the functions that there are.
    """

    def __init__(self, names: frozenset[str]):
        super().__init__()
        self._names = names
        self._text = ""
        self._scanner = Scanner()
        self._count = 0

    def read(self, text: str) -> list[Piece]:
        pieces = []
        self._text += text
        if not self.named:
            found = CALL.match(self._text)
            if not found:
                self.failed = not re.fullmatch(r"[\w.-]*", self._text)
                return []
            if found[1] not in self._names:
                self.failed = True
                return []
            self.named, self._text = True, self._text[found.end() :]
            pieces.append(Piece("name", found[1]))
        return pieces + self._arguments()

    def _arguments(self) -> list[Piece]:
        pieces = []
        while (end := self._scanner.end(self._text)) >= 0:
            self._scanner = Scanner()
            argument, last = self._text[:end].strip(), self._text[end] == ")"
            self._text = self._text[end + 1 :]
            if argument:
                pieces.append(Piece("arguments", self._written(argument)))
            if last:
                self.done, self.rest = True, self._text
                pieces.append(Piece("arguments", "}" if self._count else "{}"))
                break
        return pieces

    def _written(self, argument: str) -> str:
        key, equals, value = argument.partition("=")
        if not equals:  # a value without a name
            key, value = str(self._count), argument
        before = ", " if self._count else "{"
        self._count += 1
        name = json.dumps(key.strip(), ensure_ascii=False)
        return f"{before}{name}: {json.dumps(value_of(value.strip()), ensure_ascii=False)}"


class Scanner:
    """Finds where an argument ends; each character is looked at once."""

    def __init__(self) -> None:
        self._at = self._depth = 0
        self._quote = ""
        self._escaped = False

    def end(self, text: str) -> int:
        """Where the comma or parenthesis behind the argument stands; -1 where it is not there yet.

        Args:
            text: the argument so far, as before or with more behind it.
        """
        while self._at < len(text):
            character = text[self._at]
            if not self._quote and not self._depth and character in ",)":
                return self._at
            self._step(character)
            self._at += 1
        return -1

    def _step(self, character: str) -> None:
        if self._quote:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character == self._quote:
                self._quote = ""
        elif character in "\"'":
            self._quote = character
        elif character in "([{":
            self._depth += 1
        elif character in ")]}":
            self._depth -= 1


def value_of(text: str) -> Any:
    """A literal's value, Python's or JSON's; text that is neither stands for itself."""
    if sum(text.count(bracket) for bracket in "([{") > MAX_DEPTH:
        return text  # both parsers recurse
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        value = ast.literal_eval(re.sub(r"\b(true|false|null)\b", _as_python, text))
        json.dumps(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return value


def _as_python(found: re.Match[str]) -> str:
    return str(WORDS[found[0]])
