"""Jinja's filters, operators and string methods, refused before they build something huge.

``budget.made`` measures every result, but where a short expression can ask for a result too
large to build even once (``"a" * 10**9``) or for quadratic time, its size is told beforehand.
"""

from __future__ import annotations

import functools
import json
import operator
import re
from collections.abc import Callable, Mapping
from string import Formatter
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from jinja2 import Environment, pass_environment, pass_eval_context
from jinja2 import filters as jinja
from jinja2.nodes import EvalContext
from jinja2.tests import TESTS as JINJA_TESTS

from webllm_py.chat.budget import MAX_BITS, budget, may_be_kept
from webllm_py.errors import TemplateError

__all__ = [
    "FILTERS",
    "METHODS",
    "TESTS",
    "binary",
    "charge",
    "check_method",
    "concat",
    "keep_in_namespace",
    "keep_in_variable",
    "made",
    "text_method",
]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MAX_WIDTH = 999  # of a formatted number, of an indentation
# Searching from the right and stripping a set of characters look at every pair of characters.
MAX_PAIRS = 1 << 28

# Jinja's own filters that make nothing larger than a small multiple of what they get.
_HARMLESS = _names(
    """abs capitalize count d default dictsort e escape first float groupby int items last length
    list lower map max min reject rejectattr reverse safe select selectattr sort string title
    truncate unique upper wordcount"""
)

# What a template may call on values of these types; everything else is refused.
METHODS: Mapping[type, frozenset[str]] = {
    str: _names(
        """capitalize casefold count endswith find format format_map index isalnum isalpha isascii
        isdecimal isdigit islower isnumeric isspace istitle isupper join lower lstrip partition
        removeprefix removesuffix replace rfind rindex rpartition rsplit rstrip split splitlines
        startswith strip swapcase title upper"""
    ),
    dict: _names("get items keys values"),
    list: _names("count index"),
    tuple: _names("count index"),
    int: _names(""),
    float: _names(""),
    range: _names(""),
    type: _names(""),  # dict.update would change a dict in spite of the sandbox
}
_SLOW_METHODS = _names("strip lstrip rstrip rfind rindex rpartition rsplit")


def metered(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, its results counted. Keeps what Jinja marks functions with."""

    @functools.wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        budget().step()
        return budget().made(function(*args, **kwargs))

    return counted


def binary(name: str, left: Any, right: Any) -> Any:
    """The value of ``left name right``: the operators of Jinja on two values."""
    if name == "*":
        _check_product(left, right)
    elif name == "**":
        _check_power(left, right)
    elif name == "%" and isinstance(left, str):
        _check_percent(left, right)
    return budget().made(_OPERATORS[name](left, right))


def text_method(function: Any) -> tuple[str, str] | None:
    """The text and the name, if the function is a method of a text."""
    method = getattr(function, "__wrapped__", function)  # the sandbox wraps str.format
    text = getattr(method, "__self__", None)
    return (text, method.__name__) if isinstance(text, str) else None


def check_method(text: str, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse a call of a text's method whose result or time would be too large."""
    if name in ("format", "format_map"):
        _check_format(text, [*args, *kwargs.values()])
    elif name == "join" and args:
        count = operator.length_hint(args[0])
        budget().fits(budget().measure(args[0]) + count * len(text))
    elif name == "replace" and len(args) > 1:
        _check_replace(text, args[0], args[1])
    elif name in _SLOW_METHODS and args and isinstance(args[0], str):
        _check_pairs(text, args[0])


def charge(value: Any) -> Any:
    """The value, after counting a step for it."""
    budget().step()
    budget().measure(value)
    return value


def made(value: Any) -> Any:
    """The value, after counting it as new."""
    return budget().made(value)


def keep_in_namespace(value: Any) -> Any:
    """The value, if a namespace may hold it."""
    if not may_be_kept(value):
        raise TemplateError(f"keeps a {type(value).__name__} inside another value")
    return charge(value)


def keep_in_variable(value: Any) -> Any:
    """The value, if a variable may hold it: macros, loops and namespaces too."""
    if isinstance(value, FunctionType | MethodType | BuiltinMethodType):
        raise TemplateError(f"keeps the function {value.__name__}")
    return charge(value)


def concat(values: list[Any]) -> str:
    """Jinja's ``~``: the texts of all values joined."""
    budget().fits(sum(budget().measure(value) for value in values))
    text: str = budget().made("".join(map(str, values)))
    return text


@pass_eval_context
def join(context: EvalContext, value: Any, d: str = "", attribute: str | int | None = None) -> str:
    """Jinja's ``join``."""
    items = list(value)
    budget().fits(budget().measure(items) + len(items) * len(str(d)))
    return jinja.sync_do_join(context, items, d, attribute)


@pass_eval_context
def replace(context: EvalContext, s: str, old: str, new: str, count: int | None = None) -> str:
    """Jinja's ``replace``."""
    _check_replace(str(s), old, new)
    return jinja.do_replace(context, s, old, new, count)


def trim(value: str, chars: str | None = None) -> str:
    """Jinja's ``trim``."""
    _check_pairs(str(value), chars or "")
    return jinja.do_trim(value, chars)


def indent(s: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """Jinja's ``indent``."""
    columns = len(width) if isinstance(width, str) else width
    budget().fits(len(s) + (s.count("\n") + 1) * columns)
    return jinja.do_indent(s, width, first, blank)


def round_(value: float, precision: int = 0, method: Any = "common") -> float:
    """Jinja's ``round``."""
    if abs(precision) > 300:
        raise TemplateError(f"rounds to {precision} digits")
    return jinja.do_round(value, precision, method)


@pass_environment
def sum_(
    environment: Environment, iterable: Any, attribute: str | int | None = None, start: Any = 0
) -> Any:
    """Jinja's ``sum``, of numbers: of lists it would take quadratic time."""
    if not isinstance(start, int | float):
        raise TemplateError("sums up values that are no numbers")
    return jinja.sync_do_sum(environment, iterable, attribute, start)


def format_(value: str, *args: Any, **kwargs: Any) -> str:
    """Jinja's ``format``: the ``%`` of strings."""
    _check_percent(str(value), kwargs or args)
    return jinja.do_format(value, *args, **kwargs)


def tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """``tojson`` as transformers' ``apply_chat_template`` has it: plain JSON, nothing escaped for
    HTML, letters of all languages as they are."""
    columns = indent if isinstance(indent, int) else len(indent or "")
    if columns > MAX_WIDTH or max(map(len, separators or ("", ""))) > MAX_WIDTH:
        raise TemplateError("spreads its JSON too wide")
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
    parts, size = [], 0
    for part in encoder.iterencode(value):
        size = budget().fits(size + len(part))
        parts.append(part)
    return "".join(parts)


def _check_product(left: Any, right: Any) -> None:
    for value, times in ((left, right), (right, left)):
        if isinstance(value, str | list | tuple) and isinstance(times, int):
            budget().fits(budget().measure(value) * max(times, 0))


def _check_power(base: Any, exponent: Any) -> None:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and base.bit_length() * exponent > MAX_BITS:
        raise TemplateError(f"computes a number of more than {MAX_BITS} bits")


def _check_percent(text: str, values: Any) -> None:
    """A width stands in the format or, for a ``*``, among the values."""
    widths = values if isinstance(values, tuple) else ()
    if re.search(r"\d{4}", text) or (
        "*" in text and any(isinstance(n, int) and abs(n) > MAX_WIDTH for n in widths)
    ):
        raise TemplateError(f"formats wider than {MAX_WIDTH} characters")
    budget().fits(len(text) + text.count("%") * (MAX_WIDTH + budget().measure(values)))


def _check_format(text: str, values: Any) -> None:
    """A width stands in the format or, for a field within a field, among the values."""
    fields = 0
    for _, _, spec, _ in Formatter().parse(text):
        fields += 1
        if spec and ("{" in spec or re.search(r"\d{4}", spec)):
            raise TemplateError(f"formats wider than {MAX_WIDTH} characters")
    budget().fits(len(text) + fields * (MAX_WIDTH + budget().measure(values)))


def _check_replace(text: str, old: Any, new: Any) -> None:
    if isinstance(old, str) and isinstance(new, str):
        budget().fits(len(text) + text.count(old) * len(new))


def _check_pairs(text: str, characters: str) -> None:
    if len(text) * len(characters) > MAX_PAIRS:
        raise TemplateError("searches one long text in another")


_BOUNDED: Mapping[str, Callable[..., Any]] = {
    "format": format_,
    "indent": indent,
    "join": join,
    "replace": replace,
    "round": round_,
    "sum": sum_,
    "tojson": tojson,
    "trim": trim,
}
FILTERS: Mapping[str, Callable[..., Any]] = {
    **{name: metered(jinja.FILTERS[name]) for name in _HARMLESS},
    **{name: metered(function) for name, function in _BOUNDED.items()},
}
_JINJA_TESTS: Mapping[str, Any] = JINJA_TESTS
TESTS: Mapping[str, Callable[..., Any]] = {
    name: metered(function) for name, function in _JINJA_TESTS.items()
}

_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "**": operator.pow,
    "%": operator.mod,
}
