"""Checked access to the fields of a definition: wrong types are errors that name the place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from webllm_py.errors import MissingFileError, TokenizerError

__all__ = ["expect", "field", "optional", "read_json", "require", "strings", "token_ids"]

T = TypeVar("T")

_NAMES = {dict: "an object", list: "a list", str: "a string", int: "a whole number", bool: "a flag"}


def expect(value: Any, kind: type[T], where: str) -> T:
    """The value, which must be of this type.

    Raises:
        TokenizerError: it is not.
    """
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    raise TokenizerError(
        f"{where} must be {_NAMES[kind]}, but is {type(value).__name__}: the file is damaged"
    )


def field(parent: Mapping[str, Any], name: str, kind: type[T], where: str) -> T:
    """A field that must be there."""
    if name not in parent:
        raise TokenizerError(f"{where} has no {name!r}: the file is damaged or of another kind")
    return expect(parent[name], kind, f"{where}: {name}")


def optional(parent: Mapping[str, Any], name: str, kind: type[T], default: T, where: str) -> T:
    """A field that may be absent or null."""
    value = parent.get(name)
    return default if value is None else expect(value, kind, f"{where}: {name}")


def strings(value: Any, where: str) -> list[str]:
    """A list (or other sequence) of strings."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise TokenizerError(f"{where} must be a list of strings: the file is damaged")
    if set(map(type, value)) - {str}:
        raise TokenizerError(f"{where} must hold only strings: the file is damaged")
    return list(value)


def token_ids(value: Any, where: str) -> dict[str, int]:
    """An object from token text to id."""
    ids = expect(value, dict, where)
    if set(map(type, ids.values())) - {int}:
        raise TokenizerError(f"{where} must map every token to a whole number")
    return ids


def require(files: Mapping[str, bytes], name: str) -> bytes:
    """A file that must be there.

    Raises:
        MissingFileError: it is not.
    """
    if name not in files:
        raise MissingFileError(f"the tokenizer needs the file {name}, which is not there")
    return files[name]


def read_json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """A JSON file whose content is an object.

    Raises:
        MissingFileError: there is no such file.
        TokenizerError: it is not JSON, or not an object.
    """
    data = require(files, name)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TokenizerError(f"{name} is not valid JSON: {error}") from None
    return expect(content, dict, name)
