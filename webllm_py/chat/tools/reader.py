"""Reads one call after the other out of an answer's text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from webllm_py.chat.pieces import Piece, held_back

__all__ = ["CallParser", "Reader"]


class Reader:
    """Reads one call.

    Attributes:
        named: the name was given out, so that it is a call for good.
        done: the call is complete.
        failed: it is no call, or not one to the end.
        rest: what follows the call, or what is wrong, of the text that was read last.
    """

    def __init__(self) -> None:
        self.named = self.done = self.failed = False
        self.rest = ""

    def read(self, text: str) -> list[Piece]:
        """Take the next text."""
        raise NotImplementedError

    def end(self) -> list[Piece]:
        """What is left of a call that was cut short."""
        return []


class CallParser:
    """Content, and calls in it.

    Args:
        openings: marks behind which calls stand.
        fillers: other marks that may stand around calls, and belong to neither.
        reader: makes the reader of a call that begins with this text.
        begins: what a call begins with; True or False for a text that does or does not, None for
            one that is too short to tell.
        anchored: a call may also begin the answer, without a mark.
    """

    def __init__(
        self,
        openings: Sequence[str],
        fillers: Sequence[str],
        reader: Callable[[str], Reader],
        begins: Callable[[str], bool | None],
        *,
        anchored: bool = False,
    ):
        self._openings = openings
        self._fillers = (*openings, *fillers)
        self._make = reader
        self._begins = begins
        self._reader: Reader | None = None
        self._held = ""  # not looked at yet
        self._raw = ""  # behind the last content, as long as it may be content after all
        self._between = anchored
        self._behind = False  # a call
        self._called = False  # there was one

    def push(self, text: str) -> list[Piece]:
        self._held += text
        pieces: list[Piece] = []
        while self._held:
            before = len(self._held), self._between, self._reader
            if self._reader:
                pieces += self._call(self._reader)
            elif self._between:
                pieces += self._gap()
            else:
                pieces += self._content()
            if before == (len(self._held), self._between, self._reader):
                break
        return pieces

    def end(self) -> list[Piece]:
        pieces = self._reader.end() if self._reader else []
        cut = self._behind or (self._reader is not None and self._reader.named)
        left = "" if cut else self._raw + self._held
        self._held = self._raw = ""
        wanted = left if not self._called else left.strip()
        return pieces + ([Piece("content", left)] if wanted else [])

    def _content(self) -> list[Piece]:
        text = self._held
        places = [(place, mark) for mark in self._openings if (place := text.find(mark)) >= 0]
        if not places:
            shown = text[: len(text) - held_back(text, self._openings)] if self._openings else text
            self._held = text[len(shown) :]
            return [Piece("content", shown)] if shown else []
        place = min(places)[0]
        shown = text[:place].rstrip()
        self._raw, self._held = text[len(shown) : place], text[place:]
        self._between = True
        return [Piece("content", shown)] if shown else []

    def _gap(self) -> list[Piece]:
        """White space, marks and commas around calls."""
        text = self._held.lstrip()
        begins = self._begins(text) if text else None
        if begins:
            self._keep(self._held[: len(self._held) - len(text)])
            self._reader, self._held = self._make(text), text
            return []
        if begins is None or any(f.startswith(text) and f != text for f in self._fillers):
            return []
        for filler in self._fillers:
            if text.startswith(filler):
                size = len(self._held) - len(text) + len(filler)
                self._keep(self._held[:size])
                self._held = self._held[size:]
                return []
        return self._released()  # a mark without a call

    def _keep(self, text: str) -> None:
        """Text that belongs to calls; content after all if none follows the first mark."""
        if not self._behind:
            self._raw += text

    def _call(self, reader: Reader) -> list[Piece]:
        text, self._held = self._held, ""
        pieces = reader.read(text)
        if reader.named:
            self._raw, self._called = "", True
        else:
            self._raw += text
        if reader.done:
            self._reader, self._held = None, reader.rest
            self._between = self._behind = True
        elif reader.failed:
            self._reader, self._held = None, reader.rest if reader.named else ""
            pieces += self._released()
        return pieces

    def _released(self) -> list[Piece]:
        """What looked like a call is content; white space at its end may stand before another."""
        shown = self._raw.rstrip()
        self._held = self._raw[len(shown) :] + self._held
        self._raw = ""
        self._between = self._behind = False
        return [Piece("content", shown)] if shown else []
