"""Translates the patterns of tokenizer definitions into the standard library's ``re``.

Definitions are written for Oniguruma (what tokenizer.json is run with): Unicode properties, nested
classes with intersections, multi-line ``^`` and ``$``. Classes become explicit code-point ranges;
a construct that has no exact counterpart is an error that names it.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from webllm_py.errors import TokenizerError
from webllm_py.tokenizer.charset import CharSet
from webllm_py.tokenizer.unicode import DIGITS, WHITE_SPACE, property_set, word_set

__all__ = ["compile_pattern"]

_CONTROL_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", "a": "\a", "e": "\x1b"}
_GROUPS = ("(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>")
_INTERVAL = re.compile(r"\{(\d*)(,?)(\d*)\}", re.ASCII)

# A search for ``\s+$`` looks at every suffix of a run of spaces in turn: quadratic. A match can
# only begin where the run does, so saying that changes nothing but the time.
_FASTER = {r"\s+$": r"(?<!\s)\s+$"}


@cache
def _word_set() -> CharSet:
    """Oniguruma's ``\\w``: without the joiners of Unicode's, but with Latin-1's numbers."""
    return word_set() - CharSet.of("\u200c\u200d") | CharSet.of("²³¹¼½¾")


@lru_cache(maxsize=64)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern for ``re``, without capturing groups (so that ``findall`` gives whole matches).

    Raises:
        TokenizerError: the pattern is malformed, or uses a construct that is not supported.
    """
    try:
        return re.compile(_Translator(_FASTER.get(pattern, pattern)).translate())
    except (re.error, OverflowError, RecursionError) as error:
        raise TokenizerError(f"the tokenizer's pattern {pattern!r} is malformed: {error}") from None


class _Translator:
    """Reads a pattern from left to right; ``at`` is the next character."""

    def __init__(self, pattern: str):
        self.pattern = pattern
        self.at = 0

    def translate(self) -> str:
        opening = "(?i:" if self._take("(?i)") else "(?:"
        translated = opening + self._alternatives() + ")"
        if self.at < len(self.pattern):
            raise self._unsupported("an unmatched )")
        return translated

    def _unsupported(self, construct: str) -> TokenizerError:
        return TokenizerError(
            f"the tokenizer's pattern {self.pattern!r} uses {construct}, which is not supported"
        )

    def _take(self, text: str) -> bool:
        found = self.pattern.startswith(text, self.at)
        if found:
            self.at += len(text)
        return found

    def _next(self) -> str:
        if self.at == len(self.pattern):
            raise TokenizerError(f"the tokenizer's pattern {self.pattern!r} ends too early")
        self.at += 1
        return self.pattern[self.at - 1]

    def _alternatives(self) -> str:
        """Everything up to the group's end."""
        parts = []
        while self.at < len(self.pattern) and self.pattern[self.at] != ")":
            parts.append("|" if self._take("|") else self._atom() + self._quantifier())
        return "".join(parts)

    def _atom(self) -> str:
        char = self._next()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class().pattern()
        if char == "\\":
            return self._escape()
        if char == ".":
            return "."
        if char in "^$":
            return f"(?m:{char})"  # line anchors, always
        if char in "*+?":
            raise self._unsupported(f"{char} with nothing before it")
        return re.escape(char)

    def _group(self) -> str:
        start = self.at - 1
        for opening in _GROUPS:
            if self.pattern.startswith(opening, start):
                self.at = start + len(opening)
                break
        else:
            if self._take("?"):
                raise self._unsupported(f"the group (?{self._next()}...)")
            opening = "(?:"
        inner = self._alternatives()
        if not self._take(")"):
            raise TokenizerError(f"the tokenizer's pattern {self.pattern!r} lacks a )")
        return f"{opening}{inner})"

    def _quantifier(self) -> str:
        for plain in "*+?":
            if self._take(plain):
                # lazy, possessive or greedy: the same signs in both languages
                return plain + next((sign for sign in "?+" if self._take(sign)), "")
        interval = _INTERVAL.match(self.pattern, self.at)
        if interval is None or interval[0] in ("{}", "{,}"):
            return ""
        self.at = interval.end()
        if self.pattern[self.at : self.at + 1] in ("+", "?"):
            # Oniguruma repeats the interval here, other languages make it possessive or lazy
            raise self._unsupported(f"the quantifier {interval[0]}{self.pattern[self.at]}")
        return interval[0]

    def _escape(self) -> str:
        char = self._next()
        if char in "bB":
            word = _word_set().pattern()
            edge = f"(?<={word})(?!{word})|(?<!{word})(?={word})"
            return f"(?:{edge})" if char == "b" else f"(?!{edge})"
        if char == "A":
            return r"\A"
        if char == "z":
            return r"(?!\n|.)"  # ``re`` spells it \Z or \z, depending on Python's version
        if char == "Z":
            return r"(?=\n?(?!\n|.))"
        self.at -= 1
        return self._class_escape().pattern()

    def _class(self) -> CharSet:
        """A bracketed class, behind its ``[``; ``&&`` binds weaker than putting side by side."""
        if self._take(":"):
            raise self._unsupported("a POSIX bracket [:...:]")
        negated = self._take("^")
        chars = CharSet(())
        left: CharSet | None = None  # the operand before &&
        first = True
        while first or not self._take("]"):
            if self._take("&&"):
                left = chars if left is None else left & chars
                chars = CharSet(())
            elif self._take("["):
                chars |= self._class()
            else:
                chars |= self._class_range()
            first = False
        if left is not None:
            chars &= left
        return ~chars if negated else chars

    def _class_range(self) -> CharSet:
        low = self._class_item()
        is_range = self.pattern.startswith("-", self.at) and self.pattern[self.at + 1 :][:1] != "]"
        if not is_range or not _is_single(low):
            return low
        self.at += 1
        high = self._class_item()
        if not _is_single(high) or high.ranges[0] < low.ranges[0]:
            raise self._unsupported("a character range whose ends are not in order")
        return CharSet(((low.ranges[0][0], high.ranges[0][0]),))

    def _class_item(self) -> CharSet:
        char = self._next()
        return self._class_escape() if char == "\\" else CharSet.of(char)

    def _class_escape(self) -> CharSet:
        """An escape that stands for characters, behind its backslash."""
        char = self._next()
        if char in "sS":
            chars = CharSet.of(WHITE_SPACE)
        elif char in "dD":
            chars = property_set(DIGITS)
        elif char in "wW":
            chars = _word_set()
        elif char in "pP":
            chars = self._property()
        elif char in "xu":
            return self._code_point(char)
        elif char in _CONTROL_ESCAPES:
            return CharSet.of(_CONTROL_ESCAPES[char])
        elif char.isascii() and char.isalnum():
            raise self._unsupported(f"\\{char}")
        else:
            return CharSet.of(char)
        return ~chars if char.isupper() else chars

    def _property(self) -> CharSet:
        name = re.compile(r"\{(\^?)([^{}]*)\}").match(self.pattern, self.at)
        if name is None:
            raise self._unsupported("\\p without a name in braces")
        self.at = name.end()
        return ~property_set(name[2]) if name[1] else property_set(name[2])

    def _code_point(self, kind: str) -> CharSet:
        digits = r"\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2})"
        if kind == "u":
            digits = "([0-9a-fA-F]{4})"
        found = re.compile(digits).match(self.pattern, self.at)
        code = int(found[found.lastindex or 0], 16) if found else -1
        if found is None or code > 0x10FFFF:
            raise self._unsupported(f"\\{kind} without a code point")
        self.at = found.end()
        return CharSet(((code, code),))


def _is_single(chars: CharSet) -> bool:
    return len(chars.ranges) == 1 and chars.ranges[0][0] == chars.ranges[0][1]
