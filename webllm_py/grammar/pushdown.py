"""The pushdown automaton: grammar nodes, the stack of what is still open, and states.

A state is a set of configurations, each a regular term being read and the stack of what follows
it. Stacks share their tails and equal states are one object, so a state remembers where each byte
leads and a grammar is unfolded only as far as it is read.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from webllm_py.errors import GrammarError
from webllm_py.grammar.term import EMPTY, EPSILON, Regular

__all__ = ["Choice", "Frame", "Grammar", "Loop", "Node", "Reference", "Series", "State", "Terminal"]

Configuration = tuple[Regular, "Frame"]
FORCED_LIMIT = 4096
"""Bytes after which a forced text is cut, for grammars that force one without end."""
STATES_KEPT = 20_000
"""States that a grammar remembers before it forgets all and starts again."""

MOST_CONFIGURATIONS = 4096
"""Of one state, and frames that are due at once; more are from counts inside counts."""


class Node:
    """A part of a grammar."""

    def enter(self, parent: Frame) -> Iterator[Configuration | Frame]:
        """Where reading of this part begins: configurations, and frames that are due at once."""
        raise NotImplementedError

    def resume(self, frame: Frame) -> Iterator[Configuration | Frame]:
        """Where reading goes on once an inner part was read."""
        raise NotImplementedError


@dataclass(eq=False)
class Terminal(Node):
    """Bytes of a regular language."""

    language: Regular

    def enter(self, parent: Frame) -> Iterator[Configuration | Frame]:
        if self.language is not EMPTY:
            yield self.language, parent


@dataclass(eq=False)
class Series(Node):
    """Parts one after the other; the frame's state is the number of the next."""

    parts: Sequence[Node]

    def enter(self, parent: Frame) -> Iterator[Configuration | Frame]:
        return self._at(0, parent)

    def resume(self, frame: Frame) -> Iterator[Configuration | Frame]:
        assert frame.parent is not None
        return self._at(frame.state, frame.parent)

    def _at(self, index: int, parent: Frame) -> Iterator[Configuration | Frame]:
        if not self.parts:
            yield parent
            return
        last = index + 1 == len(self.parts)
        yield from self.parts[index].enter(parent if last else parent.push(self, index + 1))


@dataclass(eq=False)
class Choice(Node):
    """Any one of the options."""

    options: Sequence[Node]

    def enter(self, parent: Frame) -> Iterator[Configuration | Frame]:
        for option in self.options:
            yield from option.enter(parent)


@dataclass(eq=False)
class Loop(Node):
    """``item`` from ``least`` to ``most`` times; the frame's state counts those read."""

    item: Node
    least: int
    most: int | None

    def enter(self, parent: Frame) -> Iterator[Configuration | Frame]:
        return self._after(0, parent)

    def resume(self, frame: Frame) -> Iterator[Configuration | Frame]:
        assert frame.parent is not None
        return self._after(frame.state, frame.parent)

    def _after(self, count: int, parent: Frame) -> Iterator[Configuration | Frame]:
        if count >= self.least:
            yield parent
        if self.most is None or count < self.most:
            following = min(count + 1, self.least) if self.most is None else count + 1
            yield from self.item.enter(parent.push(self, following))


@dataclass(eq=False)
class Reference(Node):
    """A rule by its name; ``target`` is set once all rules are known."""

    name: str
    target: Node | None = None

    def enter(self, parent: Frame) -> Iterator[Configuration | Frame]:
        assert self.target is not None
        return self.target.enter(parent)


class Frame:
    """One open part on the stack: the node, how far it was read, and what is below it."""

    __slots__ = ("_above", "_reached", "node", "parent", "state")

    def __init__(self, node: Node | None, state: Any, parent: Frame | None):
        self.node = node
        self.state = state
        self.parent = parent
        self._above: dict[tuple[Node, Hashable], Frame] = {}
        self._reached: tuple[frozenset[Configuration], bool] | None = None

    def push(self, node: Node, state: Hashable) -> Frame:
        """The frame of ``node`` on top of this one; the same object for the same arguments."""
        key = (node, state)
        found = self._above.get(key)
        if found is None:
            found = self._above[key] = Frame(node, state, self)
        return found

    def reached(self) -> tuple[frozenset[Configuration], bool]:
        """All configurations once what is above was read, and whether the text may end there."""
        if self._reached is None:
            self._reached = closure([self])
        return self._reached

    def forget(self) -> None:
        self._above.clear()
        self._reached = None


def closure(due: list[Configuration | Frame]) -> tuple[frozenset[Configuration], bool]:
    """Configurations that read at least one byte, reached from these without reading any."""
    found: set[Configuration] = set()
    visited: set[Frame] = set()
    complete = False
    while due:
        item = due.pop()
        if isinstance(item, Frame):
            if item in visited:
                continue
            visited.add(item)
            _refuse_too_many(visited)
            if item.node is None:
                complete = True
            else:
                due.extend(item.node.resume(item))
        elif item not in found:
            language, frame = item
            if language is not EPSILON:
                found.add(item)
                complete = complete or language.ends
            if language.nullable:
                due.append(frame)
    return frozenset(found), complete


def _refuse_too_many(found: Sized) -> None:
    if len(found) > MOST_CONFIGURATIONS:
        raise GrammarError(
            f"a grammar is too ambiguous: a text can be read in over {MOST_CONFIGURATIONS} ways at "
            "once; nest fewer counts, make them smaller, or count nothing that may be empty"
        )


class State:
    """Where reading stands: ``complete`` says whether the text may end here."""

    __slots__ = ("_first", "_steps", "complete", "configurations", "grammar")

    def __init__(self, grammar: Grammar, configurations: frozenset[Configuration], complete: bool):
        self.grammar = grammar
        self.configurations = configurations
        self.complete = complete
        self._steps: dict[int, State | None] = {}
        self._first: int | None = None

    def step(self, byte: int) -> State | None:
        """The state behind ``byte``, or None where it is not allowed."""
        try:
            return self._steps[byte]
        except KeyError:
            pass
        found: set[Configuration] = set()
        complete = False
        for language, frame in self.configurations:
            rest = language.step(byte)
            if rest is EMPTY:
                continue
            if rest is not EPSILON:
                found.add((rest, frame))
                complete = complete or rest.ends
            if rest.nullable:
                behind, ends = frame.reached()
                found |= behind
                _refuse_too_many(found)
                complete = complete or ends
        alive = bool(found) or complete
        state = self.grammar.state(frozenset(found), complete) if alive else None
        self._steps[byte] = state
        return state

    def first(self) -> int:
        """The set of allowed bytes, as 256 bits."""
        if self._first is None:
            self._first = 0
            for language, _ in self.configurations:
                self._first |= language.first()
        return self._first

    @property
    def is_free(self) -> bool:
        """Whether the text is free here, up to a trigger."""
        return any(term.ends for term, _ in self.configurations)

    def forced(self) -> bytes:
        """The bytes that must come next whatever is chosen later; nothing where there is a choice.

        Bytes are forced more often than tokens: which tokens spell them is the tokenizer's choice.
        """
        found = bytearray()
        state: State | None = self
        while state is not None and not state.complete and len(found) < FORCED_LIMIT:
            first = state.first()
            if first.bit_count() != 1:
                break
            found.append(first.bit_length() - 1)
            state = state.step(found[-1])
        return bytes(found)

    def behind(self, text: bytes) -> State | None:
        """The state behind a text, or None where it is not allowed."""
        state: State | None = self
        for byte in text:
            if state is None:
                return None
            state = state.step(byte)
        return state


class Grammar:
    """A compiled grammar: its first state, and the states met so far."""

    def __init__(self, root: Node):
        self.root = root
        self._bottom = Frame(None, None, None)
        self._states: dict[tuple[frozenset[Configuration], bool], State] = {}

    def start(self) -> State:
        """The state before the first byte.

        Raises:
            GrammarError: no text at all is in the grammar.
        """
        configurations, complete = closure(list(self.root.enter(self._bottom)))
        if not configurations and not complete:
            raise GrammarError("no text satisfies this grammar")
        return self.state(configurations, complete)

    def state(self, configurations: frozenset[Configuration], complete: bool) -> State:
        key = (configurations, complete)
        found = self._states.get(key)
        if found is None:
            if len(self._states) >= STATES_KEPT:
                self._states.clear()
                self._bottom.forget()
            found = self._states[key] = State(self, configurations, complete)
        return found

    def matches(self, text: bytes) -> bool:
        """Whether the whole of ``text`` is in the grammar."""
        state = self.start().behind(text)
        return state is not None and state.complete
