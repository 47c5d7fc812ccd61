"""A JSON value in the form that grammars know: numbers without exponents, whole ones whole."""

from __future__ import annotations

import json
from typing import Any

from webllm_py.grammar.schema.numbers import number_text


def canonical(value: Any) -> bytes:
    """The value as UTF-8 JSON text, properties in their order."""
    return _text(value).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k, ensure_ascii=False)}: {_text(v)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_text(value)
    return json.dumps(value, ensure_ascii=False)
