"""Stop strings in streamed text: what may be shown now, what must wait, where to cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

__all__ = ["StopFilter"]


class StopFilter:
    """Pass text through until a stop string appears, whatever pieces the text comes in.

    The text is cut where the first stop string to become complete begins; of several that end at
    the same character the longest counts. Only the end of the text that could still grow into a
    stop string is held back, so a stop string never shows, not even in part.

    Aho-Corasick automaton (Aho and Corasick 1975): the work is linear in the length of the text,
    however many stop strings there are. A state is a prefix of a stop string: the longest one
    that the text so far ends with, which is exactly the text that is held back.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        """
        Args:
            stop: stop strings, none of them empty; none at all passes everything through.
        """
        if any(not text for text in stop):
            raise ValueError("a stop string must not be empty")
        self._children: list[dict[str, int]] = [{}]
        self._prefix: list[tuple[str, int]] = [("", 0)]  # a state's text: a string, cut at a length
        self._match: list[int] = [0]  # length of the longest stop string that ends in a state
        for text in stop:
            self._add(text)
        self._fallback = self._link()
        self._state = 0
        self._stopped = False

    @property
    def watches(self) -> bool:
        """Whether there is any stop string."""
        return len(self._match) > 1

    @property
    def stopped(self) -> bool:
        """Whether a stop string was seen; all text after it is dropped."""
        return self._stopped

    def push(self, text: str) -> tuple[str, bool]:
        """Take the next piece of text.

        Returns:
            The text that may be shown now, and whether a stop string has ended the text.
        """
        if self._stopped:
            return "", True
        before = self._state
        for position, character in enumerate(text):
            self._state = self._advance(self._state, character)
            matched = self._match[self._state]
            if matched:
                self._stopped = True
                return self._released(before, text, position + 1, matched), True
        return self._released(before, text, len(text), self._prefix[self._state][1]), False

    def flush(self) -> str:
        """The text still held back, when no more will come."""
        if self._stopped:
            return ""
        text, length = self._prefix[self._state]
        self._state = 0
        return text[:length]

    def _released(self, before: int, text: str, end: int, keep: int) -> str:
        """Held text of state ``before`` plus ``text[:end]``, without the last ``keep`` characters.

        Builds only what is let go, so that a long held text is not copied for each piece.
        """
        held, held_length = self._prefix[before]
        count = held_length + end - keep
        if count <= held_length:
            return held[:count]
        return held[:held_length] + text[: count - held_length]

    def _advance(self, state: int, character: str) -> int:
        while True:
            following = self._children[state].get(character)
            if following is not None:
                return following
            if state == 0:
                return 0
            state = self._fallback[state]

    def _add(self, text: str) -> None:
        state = 0
        for length, character in enumerate(text, start=1):
            following = self._children[state].get(character)
            if following is None:
                following = len(self._children)
                self._children[state][character] = following
                self._children.append({})
                self._prefix.append((text, length))
                self._match.append(0)
            state = following
        self._match[state] = len(text)

    def _link(self) -> list[int]:
        """The state of the longest proper suffix of each state, breadth first."""
        fallback = [0] * len(self._children)
        queue = deque(self._children[0].values())
        while queue:
            state = queue.popleft()
            # A shorter state's match was settled before: the queue runs by length.
            self._match[state] = self._match[state] or self._match[fallback[state]]
            for character, following in self._children[state].items():
                suffix = fallback[state]
                while suffix and character not in self._children[suffix]:
                    suffix = fallback[suffix]
                fallback[following] = self._children[suffix].get(character, 0)
                queue.append(following)
        return fallback
