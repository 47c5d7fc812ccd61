"""Reasoning split from the answer: ``<think>...</think>`` and its relatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from webllm_py.chat.pieces import Parser, Piece, held_back

__all__ = ["MARKS", "Marks", "ReasoningParser", "find_marks"]


@dataclass(frozen=True)
class Marks:
    """What stands around the reasoning."""

    opening: str
    closing: str

    def opened_by(self, prompt: str) -> bool | None:
        """Whether the answer begins inside of the reasoning (the template opened it) or behind it
        (it closed it); None where the model decides."""
        end = prompt.rstrip()
        if end.endswith(self.opening):
            return True
        return False if end.endswith(self.closing) else None

    def closed(self, prompt: str) -> str:
        """The prompt with reasoning at its end that is over before it began."""
        opened = self.opened_by(prompt)
        if opened is False:
            return prompt
        begin = prompt.rstrip() if opened else prompt + self.opening
        return f"{begin}\n\n{self.closing}\n\n"

    def split(self, text: str) -> tuple[str, str]:
        """The reasoning in a whole text, and the rest of it."""
        before, found, answer = text.rpartition(self.closing)
        if not found:
            return "", text
        return before.split(self.opening)[-1].strip(), answer.lstrip()


MARKS = (
    Marks("<think>", "</think>"),
    Marks("[THINK]", "[/THINK]"),
    Marks("<|START_THINKING|>", "<|END_THINKING|>"),
)


def find_marks(source: str, has_token: Callable[[str], bool]) -> Marks | None:
    """The marks that a model was trained with: those in its template, or in its vocabulary."""
    for marks in MARKS:
        if marks.closing in source or (has_token(marks.opening) and has_token(marks.closing)):
            return marks
    return None


class ReasoningParser:
    """Reads the reasoning at the beginning of an answer; ``inner`` reads what follows.

    Args:
        opened: as ``Marks.opened_by`` says.
    """

    def __init__(self, marks: Marks, opened: bool | None, inner: Parser):
        self._marks = marks
        self._inner = inner
        self._held = ""
        self._state = "before" if opened is None else "inside" if opened else "behind"
        self._begun = False  # the opening mark is there, or will not come
        self._thinking = False  # some of the reasoning was shown

    def push(self, text: str) -> list[Piece]:
        text, self._held = self._held + text, ""
        if self._state in ("before", "inside") and not self._begun:
            text = self._opening(text)
            if self._held:
                return []
        if self._state == "inside":
            return self._reasoning(text)
        if self._state == "closed":  # white space between reasoning and answer belongs to neither
            text = text.lstrip()
            self._state = "behind" if text else "closed"
        return self._inner.push(text) if text and self._state == "behind" else []

    def end(self) -> list[Piece]:
        held = self._held
        if self._state == "inside":
            return [Piece("reasoning", kept)] if (kept := held.rstrip()) else []
        return [*(self._inner.push(held) if held else []), *self._inner.end()]

    def _opening(self, text: str) -> str:
        """Past the opening mark, which a model may write although its template did."""
        begin = text.lstrip()
        opening = self._marks.opening
        if len(begin) < len(opening) and opening.startswith(begin):
            self._held = text
            return ""
        if begin.startswith(opening):
            self._state = "inside"
            text = begin[len(opening) :]
        elif self._state == "before":
            self._state = "behind"
        self._begun = True
        return text

    def _reasoning(self, text: str) -> list[Piece]:
        before, closed, answer = text.partition(self._marks.closing)
        if closed:
            self._state = "closed"
            pieces = self._thought(before.rstrip())
            return pieces + self.push(answer)
        shown = text[: len(text) - held_back(text, [self._marks.closing])]
        self._held = text[len(shown) :]
        return self._thought(shown)

    def _thought(self, text: str) -> list[Piece]:
        if not self._thinking:
            text = text.lstrip()
        self._thinking = self._thinking or bool(text)
        return [Piece("reasoning", text)] if text else []
