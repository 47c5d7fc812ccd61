"""Writes Python's errors as JavaScript and TypeScript have them, from ``webllm_py.errors``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

from webllm_py import errors

__all__ = ["javascript", "typescript"]

MADE = "// Made by demo/tools/web_errors.py of webllm_py/errors.py."
# The one error that Python does not know.
START = ("StartError", "WebLLMError", "Python could not be started in the worker.")
TYPES: dict[Any, str] = {str: "string", int: "number", float: "number", bool: "boolean"}


def javascript() -> str:
    """A class for each error."""
    lines = [MADE, "", 'import { FieldsError, define } from "./errors.js";', ""]
    for kind in kinds():
        base = "FieldsError" if kind is errors.WebLLMError else kind.__base__.__name__
        lines.append(f'export const {kind.__name__} = define("{kind.__name__}", {base});')
    name, base, _ = START
    return "\n".join([*lines, f'export const {name} = define("{name}", {base});', ""])


def typescript() -> str:
    """Their declarations, with what their docstrings say."""
    lines = [MADE]
    for kind in kinds():
        base = "Error" if kind is errors.WebLLMError else kind.__base__.__name__
        said = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0]
        lines += ["", f"/** {said} */", f"export class {kind.__name__} extends {base} {{"]
        lines += [f"  readonly {name}: {type};" for name, type in fields(kind)]
        lines.append("}")
    name, base, said = START
    return "\n".join([*lines, "", f"/** {said} */", f"export class {name} extends {base} {{}}", ""])


def kinds() -> Iterator[Any]:
    """Every error's class, each behind its base."""
    waiting: list[Any] = [errors.WebLLMError]
    while waiting:
        kind = waiting.pop(0)
        yield kind
        waiting += [one for one in kind.__subclasses__() if one.__module__ == errors.__name__]


def fields(kind: Any) -> list[tuple[str, str]]:
    """The attributes that a class's docstring tells of, with their types in TypeScript."""
    told = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:")[2]
    hints = get_type_hints(kind) | get_type_hints(kind.__init__)
    found = [
        (name, type_of(hints[name])) for name in re.findall(r"^    (\w+): ", told, re.MULTILINE)
    ]
    return [("type", "string"), *found] if kind is errors.RequestError else found


def type_of(hint: Any) -> str:
    """A type of Python's in TypeScript."""
    if isinstance(hint, UnionType):
        return " | ".join(type_of(one) for one in get_args(hint))
    return "null" if hint is NoneType else TYPES[hint]
