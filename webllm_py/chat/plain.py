"""JSON values made of Python's own types, copied from whatever the caller holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

__all__ = ["MAX_DEPTH", "NotPlainError", "to_plain"]

MAX_DEPTH = 64  # of nested lists and objects; deep enough for real tool schemas


class NotPlainError(ValueError):
    """A value that JSON cannot hold. ``path`` says where it lies, as in ``[0].name``."""

    def __init__(self, path: str, reason: str):
        super().__init__(f"{path or 'the value'}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


def to_plain(value: Any, path: str = "", depth: int = 0) -> Any:
    """A deep copy made only of dict, list, str, int, float, bool and None.

    Any mapping becomes a dict, lists and tuples become lists, numbers of other libraries Python's.

    Raises:
        NotPlainError: another type, a key that is no string, nan or infinity, text that is no
            valid Unicode, or more than ``MAX_DEPTH`` levels.
    """
    if depth > MAX_DEPTH:
        raise NotPlainError(path, f"is nested more than {MAX_DEPTH} levels deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        if not math.isfinite(number):
            raise NotPlainError(path, f"must be a finite number, not {number}")
        return number
    if isinstance(value, Mapping):
        return {
            _key(key, path): to_plain(item, f"{path}.{key}" if path else str(key), depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [to_plain(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
    raise NotPlainError(path, f"must be a JSON value, not {type(value).__name__}")


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise NotPlainError(path, f"has a key that is no string: {key!r}")
    return _text(key, path)


def _text(text: str, path: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotPlainError(
            path, f"holds half a character (a lone surrogate) at position {error.start}"
        ) from None
    return str(text)
