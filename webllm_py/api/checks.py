"""Checks of single request values. Each returns the value in its normal form.

All raise ``RequestError`` whose ``param`` is the place of the value: ``temperature``,
``messages[1].content``. Numbers of other libraries (numpy) count as numbers, tuples as lists.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, NoReturn

from webllm_py.chat.plain import NotPlainError, to_plain
from webllm_py.errors import RequestError

__all__ = [
    "boolean",
    "decimal",
    "fail",
    "integer",
    "items",
    "json_object",
    "mapping",
    "one_of",
    "refuse_unknown",
    "text",
    "wrong_type",
]


def fail(param: str, problem: str, *, code: str = "invalid_value") -> NoReturn:
    """Refuse the field ``param``: the message is its name followed by the problem."""
    raise RequestError(f"'{param}' {problem}", param=param, code=code)


def wrong_type(param: str, expected: str, value: Any) -> NoReturn:
    """Refuse a value of another type than ``expected`` ("a string")."""
    if value is None and not param.endswith("]"):
        fail(param, "is missing.", code="missing_required_parameter")
    fail(param, f"must be {expected}, not {_type_name(value)}.", code="invalid_type")


def text(value: Any, param: str, *, empty: bool = True) -> str:
    """A string of valid Unicode."""
    if not isinstance(value, str):
        wrong_type(param, "a string", value)
    if not value and not empty:
        fail(param, "must not be empty.")
    plain: str = _plain(value, param)
    return plain


def boolean(value: Any, param: str) -> bool:
    """True or False, nothing that merely counts as true."""
    if isinstance(value, bool):
        return value
    if getattr(getattr(value, "dtype", None), "kind", "") == "b":  # numpy's
        return bool(value)
    wrong_type(param, "true or false", value)


def integer(value: Any, param: str, *, low: int, high: int) -> int:
    """A whole number in ``low..high``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        wrong_type(param, "a whole number", value)
    number = int(value)
    if not low <= number <= high:
        fail(param, f"must be {_range(low, high)}, not {_shown(number)}.")
    return number


def decimal(value: Any, param: str, *, low: float, high: float) -> float:
    """A number in ``low..high``."""
    if isinstance(value, bool) or not isinstance(value, Real):
        wrong_type(param, "a number", value)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not low <= number <= high:
        fail(param, f"must be {_range(low, high)}, not {_shown(value)}.")
    return number


def one_of(value: Any, param: str, names: Iterable[str]) -> str:
    """One of a few words."""
    name = text(value, param)
    known = list(names)
    if name not in known:
        fail(param, f"must be one of {', '.join(map(repr, known))}, not {_shown(name)}.")
    return name


def items(value: Any, param: str) -> list[Any]:
    """A list or a tuple, copied."""
    if not isinstance(value, list | tuple):
        wrong_type(param, "a list", value)
    return list(value)


def mapping(value: Any, param: str) -> dict[str, Any]:
    """An object with string keys; its values are not looked at."""
    if not isinstance(value, Mapping):
        wrong_type(param, "an object (a dict)", value)
    for key in value:
        if not isinstance(key, str):
            fail(param, f"has a key that is no string: {_shown(key)}.", code="invalid_type")
    return dict(value)


def json_object(value: Any, param: str) -> dict[str, Any]:
    """An object that holds JSON values only, copied all the way down."""
    plain: dict[str, Any] = _plain(mapping(value, param), param)
    return plain


def refuse_unknown(fields: Iterable[str], known: Iterable[str], param: str = "") -> None:
    """Refuse a field outside ``known``, naming the nearest known one."""
    names = list(known)
    for field in fields:
        if field not in names:
            import difflib  # not before it is needed: a page starts Python from a snapshot

            near = difflib.get_close_matches(field[:64], names, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            path = f"{param}.{field}" if param else field
            raise RequestError(
                f"Unknown field {_shown(path)}.{hint}", param=path, code="unknown_parameter"
            )


def _plain(value: Any, param: str) -> Any:
    try:
        return to_plain(value, param)
    except NotPlainError as error:
        fail(error.path, f"{error.reason}.")


def _range(low: float, high: float) -> str:
    return f"from {low} to {high}"


_TYPE_NAMES = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    type(None): "null",
}


def _type_name(value: Any) -> str:
    if isinstance(value, float):
        return _shown(value)
    return _TYPE_NAMES.get(type(value), type(value).__name__)


def _shown(value: Any) -> str:
    try:
        return _cut(repr(value))
    except ValueError:  # an int of more digits than Python prints
        return f"a number of {value.bit_length()} bits"


def _cut(shown: str) -> str:
    return shown if len(shown) <= 80 else shown[:77] + "..."
