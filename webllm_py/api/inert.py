"""Markdown of which nothing is fetched when it is shown: notebooks render what a model writes.

A picture's address tells its server what stands in it, and that the answer was read: whoever gets
a text before the model can have it write ``![](https://.../?q=what-it-was-told)``. So pictures
become links, which are followed only by who clicks, and HTML is shown as the text that it is.

Code stays as it is where all renderers agree that it is code. They differ about many texts (marked
is JupyterLab's, markdown-it VS Code's; both look for mathematics too), and code of the one may be a
picture of the other: in doubt, text is made inert as if it were no code.
"""

from __future__ import annotations

import re

__all__ = ["Inert"]

FENCE = re.compile(r"( *)(`{3,}|~{3,})[^`$\\]*")  # a formula in its line could take its end away
FENCE_WITHIN = re.compile(r"(?:[^\w`~]|\d+[.)])*(?:`{3}|~{3})")  # an item of a list, a quote
MARKS = re.compile(r"(?:[-*+>:\s]|\d+[.)]|\[\^.*?\]:)*")
CONTAINER = re.compile(r"\s*(?:[-*+>:]|\d+[.)]|\[\^)")

BLANKS = " \t"
LINKED_IMAGE = re.compile(r"\[!\[([^\[\]]*)\]\([^()\s]*\)\](?=\()")
IMAGE = re.compile(r"(?<![!\\])!(?=\[[^\[\]]*\]\()")
LESS = re.compile(
    r"(?<!\\)(\\*)<(?=[a-z/!?])(?!br *\/?>|https?://[^\s<>`]*>|mailto:[^\s<>`]*>)", re.IGNORECASE
)
# What gives MathJax's elements a style, in which an address may stand, or spells such commands.
STYLE = re.compile(r"\\(?=(?:style|bbox|mmlToken|html[A-Z]|csname|require|includegraphics))")

CODE_SPAN = re.compile(r"`[^`|]+`(?!`)")
# Before a span there is nothing that some renderers begin something with that ends within it.
PLAIN = re.compile(r"(?:[^`$~\\\]]|\](?!\()|\]\([^()\s`]*\))*")
ADDRESS = re.compile(r"://|www\.|@", re.IGNORECASE)


class Inert:
    """Makes the parts of one page inert, in their order and with empty lines between them."""

    def __init__(self) -> None:
        self._agreed = True  # on what has been code so far, and on its ends
        self._in_formula = False  # one between lines of $$
        self._contained = False  # after a list's item an indented line may be its text

    def __call__(self, text: str) -> str:
        """The same Markdown with links in the place of pictures, and without HTML. Code that the
        text leaves open is closed."""
        lines = re.sub(r"\r\n?", "\n", text).split("\n")
        made: list[str] = []
        at, is_plain = 0, True
        while at < len(lines):
            starts = not made or not made[-1].strip(BLANKS)
            code = self._code(lines, at, starts)
            if not code:
                line = lines[at].rstrip(BLANKS) and lines[at]  # empty to all
                line, is_plain = self._line(line, is_plain or not line)
                made.append(line)
                at += 1
                continue
            at += len(code)
            is_plain = True
            # No paragraph, heading or formula goes on across an empty line, into code or out of it.
            ends = at >= len(lines) or not lines[at].strip(BLANKS)
            made += [*([] if starts else [""]), *code, *([] if ends else [""])]
        return "\n".join(made)

    def _code(self, lines: list[str], at: int, starts: bool) -> list[str]:
        """The lines from this one on that are code for certain; none where it begins none."""
        opened = FENCE.fullmatch(lines[at])
        if not self._agreed:
            return []
        if opened is None:
            self._agreed = FENCE_WITHIN.match(lines[at]) is None
            may_be = self._agreed and starts and not (self._contained or self._in_formula)
            return indented(lines, at) if may_be else []
        code = [] if self._in_formula else fenced(lines, at, opened)
        self._agreed = bool(code)
        return code

    def _line(self, line: str, is_plain: bool) -> tuple[str, bool]:
        """A line of text made inert, and whether its paragraph has been plain so far."""
        self._contained = self._contained or CONTAINER.match(line) is not None
        parts, at = [], 0
        while is_plain and (tick := line.find("`", at)) >= 0:
            before, span = line[at:tick], CODE_SPAN.match(line, tick)
            is_plain = self._is_plain(before) and not ADDRESS.search(re.split(r"\s", before)[-1])
            if span is None or not is_plain:
                is_plain = False
                break
            parts += [self._text(before), span[0]]
            at = span.end()
        rest = line[at:]
        parts.append(self._text(rest))
        is_plain = is_plain and self._is_plain(rest)
        self._follow_formulas(line)
        return "".join(parts), is_plain

    def _follow_formulas(self, line: str) -> None:
        count, text = line.count("$$"), MARKS.sub("", line, count=1).strip(BLANKS)
        if self._in_formula and count:
            self._agreed = self._agreed and count == 1 and text.endswith("$$")
            self._in_formula = False
        elif text.startswith("$$") and not (count == 2 and text.endswith("$$")):
            self._agreed = self._agreed and count == 1 and line.startswith("$$")
            self._in_formula = True
        elif count % 2:
            self._agreed = False

    def _is_plain(self, text: str) -> bool:
        return not self._in_formula and PLAIN.fullmatch(text) is not None

    def _text(self, text: str) -> str:
        """Text of a line, from the line's beginning or after what has no dollar in it."""
        pieces = text.split("$")
        for number, piece in enumerate(pieces):
            is_formula = self._in_formula or number % 2
            pieces[number] = LESS.sub(less_in_formula if is_formula else less, piece)
        text = IMAGE.sub("", LINKED_IMAGE.sub(r"[\1]", "$".join(pieces)))
        return STYLE.sub(r"\\ ", text.replace("![", "! [").replace("]:", r"]\:"))


def less(found: re.Match[str]) -> str:
    """Its backslash, if it has one, is one of HTML's entity no more."""
    return found[1][: len(found[1]) // 2 * 2] + "&lt;"


def less_in_formula(found: re.Match[str]) -> str:
    """TeX knows no entities, and a space is nothing to it; no HTML has one there."""
    return found[0] + " "


def fenced(lines: list[str], at: int, opened: re.Match[str]) -> list[str]:
    """A fence's code with its two fences; none if renderers may not agree on where it ends."""
    indent, marks = opened[1], opened[2]
    closing = re.compile(f"{indent}{marks}{marks[0]}* *")
    for number in range(at + 1, len(lines)):
        line = lines[number]
        if closing.fullmatch(line):
            return lines[at : number + 1]
        if line.strip(BLANKS) and not line.startswith(indent):
            return []  # an item of a list may end there, and with it the code within
        if line.lstrip().startswith(marks) and not line.strip(" \t`~"):
            return []  # some take that for an end
    return [*lines[at:], indent + marks]


def indented(lines: list[str], at: int) -> list[str]:
    """The lines from this one on that are indented as code is."""
    end = at
    while end < len(lines) and lines[end].startswith(("    ", "\t")) and lines[end].strip(BLANKS):
        end += 1
    return lines[at:end]
