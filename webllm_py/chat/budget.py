"""How much work one rendering of a chat template may do, counted while it runs.

A template comes with a checkpoint from anywhere, and Jinja's sandbox keeps it from Python's
objects but not from using all time and memory. Four things are bounded: steps, seconds, the size
of any one value and the size of all values built, counted with repetition: a list that holds one
text a million times has a million times its size, because that is what printing, comparing or
joining it costs.
"""

from __future__ import annotations

import operator
import time
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import GeneratorType
from typing import Any

from jinja2 import Undefined

from webllm_py.errors import TemplateError

__all__ = ["Budget", "Limits", "budget", "may_be_kept", "spending"]

MAX_BITS = 4096  # of a whole number: more than any date, count or id
MAX_DEPTH = 100  # of lists within lists
SLOT = 8  # size of what is no text: a number, a place in a list
_CONTAINERS = (dict, list, tuple, KeysView, ValuesView, ItemsView)


@dataclass(frozen=True)
class Limits:
    """What one rendering may use.

    Attributes:
        steps: calls, operations, comparisons and items of lists looked at.
        seconds: time; checked at every step.
        size: characters of one value, and a few for each item of a list.
        built: characters of all values made, however short-lived.
        calls: depth of macros that call macros.
    """

    steps: int = 3_000_000
    seconds: float = 10.0
    size: int = 8 << 20
    built: int = 128 << 20
    calls: int = 50


class Drawn:
    """The lazy result of a Jinja filter, drawn at once so that it was measured. As a lazy one it
    can be iterated only once."""

    def __init__(self, items: list[Any], depth: int) -> None:
        self._items = iter(items)
        self.depth = depth

    def __iter__(self) -> Iterator[Any]:
        return self._items

    def __next__(self) -> Any:
        return next(self._items)

    def __length_hint__(self) -> int:
        return operator.length_hint(self._items)


_KEPT = (str, int, float, complex, Undefined, Drawn, *_CONTAINERS)


def may_be_kept(value: Any) -> bool:
    """Whether lists and namespaces may hold the value. Functions, loops and other namespaces hold
    values that nobody measures, could hold themselves, and freeing a long chain of them overflows
    a browser's small stack."""
    return value is None or isinstance(value, _KEPT)


class Budget:
    """What is left for one rendering. Each method raises ``TemplateError`` once it is used up."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._steps = limits.steps
        self._built = limits.built
        self._calls = limits.calls
        self._deadline = time.perf_counter() + limits.seconds
        # Size and depth of lists and dicts inside others; they cannot change, for the sandbox
        # refuses every method that would. Holding the object keeps its id from being used again.
        self._known: dict[int, tuple[Any, int, int]] = {}

    def step(self, count: int = 1) -> None:
        """Count ``count`` steps of work, and look at the clock."""
        self._steps -= count
        if self._steps < 0:
            raise TemplateError(f"takes more than {self._limits.steps} steps")
        if time.perf_counter() > self._deadline:
            raise TemplateError(f"takes more than {self._limits.seconds:g} seconds")

    def fits(self, size: int) -> int:
        """``size``, if one value may have it."""
        if size > self._limits.size:
            raise TemplateError(f"makes a value of more than {self._limits.size} characters")
        return size

    def measure(self, value: Any) -> int:
        """The size of a value, if it may be as large."""
        if isinstance(value, str):
            return self.fits(len(value))
        if isinstance(value, _CONTAINERS):
            return self._container(value)[0]
        return self._leaf(value)

    def made(self, value: Any) -> Any:
        """Count a value that an operation has made, and return it.

        Of a list only its slots count: the texts in it were counted when they were made.
        """
        self.step()
        if isinstance(value, GeneratorType):
            return self._draw(value)
        size = self.measure(value)
        self.build(len(value) * SLOT if isinstance(value, _CONTAINERS) else size)
        return value

    def build(self, size: int) -> None:
        """Count ``size`` characters of new text."""
        self._built -= size
        if self._built < 0:
            raise TemplateError(f"builds more than {self._limits.built} characters")

    def _draw(self, items: Iterator[Any]) -> Drawn:
        drawn = []
        for item in items:
            self.step()
            drawn.append(item)
        self.made(drawn)
        return Drawn(drawn, self._container(drawn)[1])

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count one level of calls for as long as it lasts."""
        self._calls -= 1
        if self._calls < 0:
            raise TemplateError(f"nests more than {self._limits.calls} calls")
        try:
            yield
        finally:
            self._calls += 1

    def _container(self, value: Any) -> tuple[int, int]:
        """Size and depth of a list or dict."""
        self.step(len(value))
        size, depth = 2, 0
        for item in _items(value):
            item_size, item_depth = self._item(item)
            size = self.fits(size + item_size + 2)
            depth = max(depth, item_depth)
        if depth >= MAX_DEPTH:
            raise TemplateError(f"nests lists more than {MAX_DEPTH} levels deep")
        return size, depth + 1

    def _item(self, value: Any) -> tuple[int, int]:
        if isinstance(value, str):
            return len(value), 0
        if isinstance(value, _CONTAINERS):
            if id(value) not in self._known:
                self._known[id(value)] = (value, *self._container(value))
            return self._known[id(value)][1:]
        if not may_be_kept(value):
            raise TemplateError(f"keeps a {type(value).__name__} inside another value")
        return self._leaf(value), value.depth if isinstance(value, Drawn) else 0

    def _leaf(self, value: Any) -> int:
        if isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise TemplateError(f"computes a number of more than {MAX_BITS} bits")
        return SLOT


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.keys()
        yield from value.values()
    else:
        yield from value


_current: ContextVar[Budget] = ContextVar("budget of the rendering that runs")


def budget() -> Budget:
    """The budget of the rendering that runs in this context."""
    return _current.get()


@contextmanager
def spending(limits: Limits) -> Iterator[None]:
    """Give the rendering inside the ``with`` a new budget."""
    token = _current.set(Budget(limits))
    try:
        yield
    finally:
        _current.reset(token)
