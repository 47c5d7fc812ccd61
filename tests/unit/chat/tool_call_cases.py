"""Tools, and calls of them, for tests of how models write and read calls."""

from __future__ import annotations

from collections.abc import Mapping

from webllm_py.chat import CallRules
from webllm_py.chat.harmony import HARMONY, Harmony
from webllm_py.chat.pieces import Parser, Reply
from webllm_py.chat.tools import syntax as syntaxes
from webllm_py.chat.tools.syntax import Syntax

ALL: Mapping[str, Syntax | Harmony] = {
    **{name: getattr(syntaxes, name) for name in syntaxes.__all__ if name != "Syntax"},
    "HARMONY": HARMONY,
}
SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": "integer"},
        "b": {"type": "string"},
        "c": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
        "d": {"enum": ["x", "y"], "type": "string"},
    },
    "required": ["a"],
}
F = {"name": "f", "parameters": SCHEMA}
G = {"name": "g"}
TOOLS = CallRules((F, G)).schemas


def in_pieces(parser: Parser, text: str, size: int) -> Reply:
    pieces = []
    for start in range(0, len(text), size):
        pieces += parser.push(text[start : start + size])
    return Reply.of([*pieces, *parser.end()])


ONE = ("f", '{"a": 1}')
TWO = [ONE, ("g", "{}")]
