"""Grammars written as GBNF, the notation of llama.cpp, which is also the usual EBNF of peers."""

from __future__ import annotations

import re

from webllm_py.errors import GrammarError
from webllm_py.grammar.characters import ANY_CHARACTER, Ranges, inverted, merged, utf8
from webllm_py.grammar.parts import Named, alternatives, repeated, series
from webllm_py.grammar.pushdown import Choice, Grammar, Loop, Node, Reference, Series, Terminal
from webllm_py.grammar.regex_syntax import MOST_IN_COUNTS
from webllm_py.grammar.words import literal

__all__ = ["gbnf"]

SPACE = re.compile(r"(?:\s+|#[^\n]*)*")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
HEAD = re.compile(rf"({NAME.pattern})\s*::=")
COUNTS = re.compile(r"\{\s*(\d*)\s*(,?)\s*(\d*)\s*\}", re.ASCII)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
HEX_SIZES = {"x": 2, "u": 4, "U": 8}
SIMPLE_COUNTS = {"*": (0, None), "+": (1, None), "?": (0, 1)}


def gbnf(text: str, root: str = "root") -> Grammar:
    """The grammar that begins with the rule ``root``.

    Raises:
        GrammarError: it is malformed, names a rule that is missing, or is left-recursive.
    """
    try:
        rules = _Reader(text).rules()
        if root not in rules:
            raise GrammarError(f"the grammar has no rule {root!r} to begin with")
        _refuse_left_recursion(rules)
    except RecursionError:
        raise GrammarError("a grammar with groups or rules nested too deeply") from None
    return Grammar(rules[root])


class _Reader:
    def __init__(self, text: str):
        self.text = text
        self.at = 0
        self.bodies = self._places()
        self.built: dict[str, Node] = {}
        self.open: dict[str, Reference] = {}

    def error(self, reason: str) -> GrammarError:
        line = self.text.count("\n", 0, self.at) + 1
        return GrammarError(f"{reason} in line {line} of the grammar")

    def _places(self) -> dict[str, int]:
        """Where the body of each rule begins, found by reading past all of them once."""
        places: dict[str, int] = {}
        self._skip()
        while self.at < len(self.text):
            head = HEAD.match(self.text, self.at)
            if not head:
                raise self.error(
                    f"expected 'name ::=', found {self.text[self.at : self.at + 12]!r}"
                )
            if head[1] in places:
                raise self.error(f"the rule {head[1]!r} is defined twice")
            places[head[1]] = self.at = head.end()
            self.at = _body_end(self.text, self.at)
            self._skip()
        return places

    def rules(self) -> dict[str, Node]:
        for name in self.bodies:
            self._rule(name)
        return self.built

    def _rule(self, name: str) -> Node:
        """The rule's node: its term where it is regular, a reference while it is being read."""
        if name in self.built:
            node = self.built[name]
            return Named(node.language) if isinstance(node, Terminal) else self.open[name]
        if name in self.open:
            return self.open[name]
        if name not in self.bodies:
            raise self.error(f"the rule {name!r} is not defined")
        reference = self.open[name] = Reference(name)
        before, self.at = self.at, self.bodies[name]
        node = self._options(nested=False)
        if self.at < len(self.text) and not HEAD.match(self.text, self.at):
            raise self.error(f"unexpected {self.text[self.at]!r}")
        self.at = before
        self.built[name] = reference.target = node
        return Named(node.language) if isinstance(node, Terminal) else reference

    def _skip(self) -> None:
        found = SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _options(self, nested: bool) -> Node:
        options = []
        while True:
            options.append(self._series(nested))
            if self.text[self.at : self.at + 1] != "|":
                return alternatives(options)
            self.at += 1

    def _series(self, nested: bool) -> Node:
        parts: list[Node] = []
        self._skip()
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            if not nested and HEAD.match(self.text, self.at):
                break
            parts.append(self._counted(self._element()))
            self._skip()
        return series(parts)

    def _element(self) -> Node:
        character = self.text[self.at]
        name = NAME.match(self.text, self.at)
        if name:
            self.at = name.end()
            return self._rule(name[0])
        self.at += 1
        if character == '"':
            return Terminal(
                literal("".join(self._characters('"')).encode("utf-8", "surrogatepass"))
            )
        if character == "[":
            return Terminal(utf8(self._class()))
        if character == ".":
            return Terminal(utf8(ANY_CHARACTER))
        if character == "(":
            node = self._options(nested=True)
            if self.text[self.at : self.at + 1] != ")":
                raise self.error("a group without its ')'")
            self.at += 1
            return node
        self.at -= 1
        raise self.error(f"unexpected {character!r}")

    def _counted(self, item: Node) -> Node:
        mark = self.text[self.at : self.at + 1]
        if mark in SIMPLE_COUNTS:
            self.at += 1
            return self._counted(repeated(item, *SIMPLE_COUNTS[mark]))
        found = COUNTS.match(self.text, self.at)
        if not found:
            return item
        low, comma, high = found.groups()
        if not low and not high:
            raise self.error("empty counts")
        if len(low) + len(high) > MOST_IN_COUNTS:
            raise self.error("counts of too many digits")
        least = int(low or 0)
        most = (int(high) if high else None) if comma else least
        if most is not None and most < least:
            raise self.error("counts out of order")
        self.at = found.end()
        return self._counted(repeated(item, least, most))

    def _characters(self, end: str) -> list[str]:
        found = []
        while self.text[self.at : self.at + 1] != end:
            found.append(self._character())
        self.at += 1
        return found

    def _class(self) -> Ranges:
        negated = self.text[self.at : self.at + 1] == "^"
        self.at += negated
        ranges = []
        while self.text[self.at : self.at + 1] != "]":
            low = high = ord(self._character())
            if (
                self.text[self.at : self.at + 1] == "-"
                and self.text[self.at + 1 : self.at + 2] != "]"
            ):
                self.at += 1
                high = ord(self._character())
            if high < low:
                raise self.error("a range out of order")
            ranges.append((low, high))
        self.at += 1
        found = merged(ranges)
        return inverted(found) if negated else found

    def _character(self) -> str:
        if self.at >= len(self.text):
            raise self.error("a quote or bracket that is not closed")
        character = self.text[self.at]
        self.at += 1
        if character != "\\":
            return character
        escape = self.text[self.at : self.at + 1]
        self.at += 1
        if escape not in HEX_SIZES:
            return ESCAPES.get(escape, escape)
        digits = self.text[self.at : self.at + HEX_SIZES[escape]]
        self.at += HEX_SIZES[escape]
        try:
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise self.error(f"a malformed escape \\{escape}{digits}") from None


def _body_end(text: str, at: int) -> int:
    """Where the next rule begins: past quotes, brackets and comments."""
    while at < len(text):
        character = text[at]
        if character in '"[':
            end = '"' if character == '"' else "]"
            at += 1
            while at < len(text) and text[at] != end:
                at += 2 if text[at] == "\\" else 1
        elif character == "#":
            at = text.find("\n", at)
            if at < 0:
                return len(text)
        else:
            name = HEAD.match(text, at)
            if name:
                return at
            word = NAME.match(text, at)
            if word:
                at = word.end() - 1
        at += 1
    return at


def _refuse_left_recursion(rules: dict[str, Node]) -> None:
    nullable: set[str] = set()
    size = -1
    while size != len(nullable):
        size = len(nullable)
        nullable |= {name for name, node in rules.items() if _is_nullable(node, nullable)}
    edges = {name: _leftmost(node, nullable) for name, node in rules.items()}
    for name in rules:
        reached, pending = set[str](), list(edges[name])
        while pending:
            other = pending.pop()
            if other == name:
                raise GrammarError(
                    f"the rule {name!r} is left-recursive: it begins with itself; put what "
                    "repeats behind, as in: list ::= item list?"
                )
            if other not in reached:
                reached.add(other)
                pending += edges[other]


def _is_nullable(node: Node, nullable: set[str]) -> bool:
    if isinstance(node, Terminal):
        return node.language.nullable
    if isinstance(node, Reference):
        return node.name in nullable
    if isinstance(node, Choice):
        return any(_is_nullable(option, nullable) for option in node.options)
    if isinstance(node, Series):
        return all(_is_nullable(part, nullable) for part in node.parts)
    assert isinstance(node, Loop)
    return node.least == 0 or _is_nullable(node.item, nullable)


def _leftmost(node: Node, nullable: set[str]) -> set[str]:
    """The rules that may stand at the very beginning of a node."""
    if isinstance(node, Reference):
        return {node.name}
    if isinstance(node, Choice):
        return {name for option in node.options for name in _leftmost(option, nullable)}
    if isinstance(node, Loop):
        return _leftmost(node.item, nullable)
    found: set[str] = set()
    if isinstance(node, Series):
        for part in node.parts:
            found |= _leftmost(part, nullable)
            if not _is_nullable(part, nullable):
                break
    return found
