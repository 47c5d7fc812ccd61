"""Calls as Qwen3-Coder writes them: ``<function=f><parameter=a>1</parameter></function>``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from webllm_py.chat.pieces import Piece
from webllm_py.chat.tools.reader import Reader

__all__ = ["XmlReader", "is_text"]

NAME = re.compile(r"<function=([^>\n]+)>")
PARAMETER = re.compile(r"\s*<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
END = re.compile(r"\s*</function>")


class XmlReader(Reader):
    """Reads one call; its arguments come out as JSON, each once it is complete.

    Args:
        tools: each function's JSON Schema, which tells text from other values.
    """

    def __init__(self, tools: Mapping[str, Any]):
        super().__init__()
        self._tools = tools
        self._properties: Mapping[str, Any] = {}
        self._text = ""
        self._count = 0

    def read(self, text: str) -> list[Piece]:
        pieces = []
        self._text += text
        if not self.named:
            found = NAME.match(self._text)
            if not found:
                self.failed = len(self._text) > 512 or "\n" in self._text
                return []
            self.named, self._text = True, self._text[found.end() :]
            schema = self._tools.get(found[1])
            self._properties = (schema or {}).get("properties") or {}
            pieces.append(Piece("name", found[1]))
        while found := PARAMETER.match(self._text):
            pieces.append(Piece("arguments", self._written(found[1], found[2])))
            self._text = self._text[found.end() :]
        if found := END.match(self._text):
            self.done, self.rest = True, self._text[found.end() :]
            pieces.append(Piece("arguments", "}" if self._count else "{}"))
        return pieces

    def _written(self, name: str, text: str) -> str:
        value: Any = text
        if not is_text(self._properties.get(name)):
            try:
                value = json.loads(text)
            except (ValueError, RecursionError):
                value = {"True": True, "False": False, "None": None}.get(text, text)
        before = ", " if self._count else "{"
        self._count += 1
        key = json.dumps(name, ensure_ascii=False)
        return f"{before}{key}: {json.dumps(value, ensure_ascii=False)}"


def is_text(schema: Any) -> bool:
    """Whether values of this schema are texts, which are written without quotes."""
    return isinstance(schema, Mapping) and schema.get("type") == "string"
