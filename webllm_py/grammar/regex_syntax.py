"""The syntax of regular expressions (ECMA-262): from a pattern to a tree."""

from __future__ import annotations

from dataclasses import dataclass

from webllm_py.errors import GrammarError
from webllm_py.grammar.characters import Ranges, inverted, merged

__all__ = ["MOST_IN_COUNTS", "Anchor", "Characters", "Group", "Parser", "Repeated", "Tree"]

LINE_ENDS: Ranges = ((0xA, 0xA), (0xD, 0xD), (0x2028, 0x2029))
DIGITS: Ranges = ((0x30, 0x39),)
WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
SPACE: Ranges = merged(
    (
        *((9, 13), (0x2000, 0x200A), (0x2028, 0x2029)),
        *((x, x) for x in (0x20, 0xA0, 0x1680, 0x202F, 0x205F, 0x3000, 0xFEFF)),
    )
)
CLASSES = {"d": DIGITS, "w": WORD, "s": SPACE}
CONTROLS = {"n": 10, "r": 13, "t": 9, "v": 11, "f": 12, "0": 0}
# Of Python, Perl, Rust and Ruby, where the ends of a text have them; in ECMA-262 they mean nothing.
ANCHORS = {"A": "^", "Z": "$", "z": "$"}
MOST_IN_COUNTS = 40
"""Characters between the braces of counts: Python reads no numbers of thousands of digits."""
REFUSED_GROUPS = {
    "=": "lookahead",
    "!": "lookahead",
    "<=": "lookbehind",
    "<!": "lookbehind",
}


@dataclass(frozen=True)
class Characters:
    """One of these characters."""

    ranges: Ranges


@dataclass(frozen=True)
class Anchor:
    """The beginning ("^") or the end ("$") of a text."""

    kind: str


@dataclass(frozen=True)
class Repeated:
    """``least`` to ``most`` of an item; None: any number."""

    item: Tree
    least: int
    most: int | None


@dataclass(frozen=True)
class Group:
    """Alternatives, each a sequence."""

    options: tuple[tuple[Tree, ...], ...]


Tree = Characters | Anchor | Repeated | Group


class Parser:
    """Reads one pattern, by recursive descent; each method takes what it is named after.

    Raises:
        GrammarError: the pattern is malformed, or asks for lookaround or back references.
    """

    def __init__(self, pattern: str):
        self.pattern = pattern
        self.at = 0

    def error(self, reason: str) -> GrammarError:
        return GrammarError(f"{reason} at character {self.at} of the pattern {self.pattern!r}")

    def parsed(self) -> Group:
        tree = self.group()
        if self.at < len(self.pattern):
            raise self.error("an unmatched ')'")
        return tree

    def peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def take(self, text: str) -> bool:
        if self.pattern.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def next(self) -> str:
        if self.at >= len(self.pattern):
            raise self.error("the pattern ends too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def group(self) -> Group:
        options: list[tuple[Tree, ...]] = []
        items: list[Tree] = []
        while self.peek() not in ("", ")"):
            if self.take("|"):
                options.append(tuple(items))
                items = []
            else:
                items.append(self.quantified(self.atom()))
        return Group((*options, tuple(items)))

    def atom(self) -> Tree:
        character = self.next()
        if character == "(":
            return self.parenthesis()
        if character == "[":
            return Characters(self.bracket())
        if character == ".":
            return Characters(inverted(LINE_ENDS))
        if character in "^$":
            return Anchor(character)
        if character == "\\":
            if self.peek() in ("b", "B"):
                raise self.error("a word boundary (\\b) cannot be honoured")
            if anchor := ANCHORS.get(self.peek()):
                self.at += 1
                return Anchor(anchor)
            return Characters(self.escape())
        if character in "*+?":
            raise self.error("nothing to repeat")
        return Characters(((ord(character), ord(character)),))

    def parenthesis(self) -> Tree:
        if self.take("?"):
            for mark, name in REFUSED_GROUPS.items():
                if self.take(mark):
                    raise self.error(f"a {name} cannot be honoured")
            if self.take("<") or self.take("P<"):
                while self.next() != ">":
                    pass
            elif not self.take(":"):
                raise self.error("an unknown kind of group")
        tree = self.group()
        if not self.take(")"):
            raise self.error("a group without its ')'")
        return tree

    def quantified(self, item: Tree) -> Tree:
        mark = self.peek()
        counts = self.counts() if mark == "{" else None
        if counts is None:
            simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}
            if mark not in simple or not mark:
                return item
            self.at += 1
            counts = simple[mark]
        if isinstance(item, Anchor):
            raise self.error("an anchor cannot be repeated")
        self.take("?")  # lazy or greedy: the same texts
        return self.quantified(Repeated(item, *counts))

    def counts(self) -> tuple[int, int | None] | None:
        """The counts of ``{m}``, ``{m,}`` or ``{m,n}``; None where the brace stands for itself."""
        end = self.pattern.find("}", self.at)
        inside = self.pattern[self.at + 1 : end] if end > 0 else ""
        low, comma, high = inside.partition(",")
        if not (low.isdecimal() and (high.isdecimal() or not high)):
            return None
        if len(inside) > MOST_IN_COUNTS:
            raise self.error("counts of too many digits")
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if most is not None and most < least:
            raise self.error("counts out of order")
        self.at = end + 1
        return least, most

    def bracket(self) -> Ranges:
        negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        while not self.take("]"):
            low = self.member()
            if self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self.member()
                if len(low) == 1 and len(high) == 1 and low[0][0] == low[0][1]:
                    if high[0][0] < low[0][0]:
                        raise self.error("a range out of order")
                    ranges.append((low[0][0], high[0][0]))
                    continue
                ranges += [*high, (0x2D, 0x2D)]
            ranges += low
        found = merged(ranges)
        return inverted(found) if negated else found

    def member(self) -> Ranges:
        character = self.next()
        if character == "\\":
            if self.take("b"):
                return ((8, 8),)
            return self.escape()
        return ((ord(character), ord(character)),)

    def escape(self) -> Ranges:
        character = self.next()
        if character.lower() in CLASSES:
            found = CLASSES[character.lower()]
            return inverted(found) if character.isupper() else found
        if character in CONTROLS:
            code = CONTROLS[character]
        elif character == "x":
            code = self.hexadecimal(2)
        elif character == "u":
            code = self.unicode()
        elif character == "c":
            code = ord(self.next()) % 32
        elif character in "123456789k":
            raise self.error("a back reference cannot be honoured")
        elif character in "pP":
            raise self.error("a Unicode property (\\p) cannot be honoured")
        elif character.isascii() and character.isalpha():
            raise self.error(f"an escape without a meaning (\\{character})")
        else:
            code = ord(character)
        return ((code, code),)

    def unicode(self) -> int:
        if self.take("{"):
            end = self.pattern.find("}", self.at)
            return self.hexadecimal(max(end - self.at, 0), closing=1)
        code = self.hexadecimal(4)
        if 0xD800 <= code < 0xDC00 and self.take("\\u"):
            return 0x10000 + ((code - 0xD800) << 10) + self.hexadecimal(4) - 0xDC00
        return code

    def hexadecimal(self, size: int, closing: int = 0) -> int:
        digits = self.pattern[self.at : self.at + size]
        try:
            code = int(digits, 16)
        except ValueError:
            code = -1
        if len(digits) < size or not 0 <= code <= 0x10FFFF:
            raise self.error("a malformed escape")
        self.at += size + closing
        return code
