"""Guesses what a text goes on with: as it went on where its last tokens stood before.

Prompt lookup decoding: copying, editing and quoting repeat long runs of what is there already.
"""

from __future__ import annotations

from collections.abc import Iterable

from webllm_py.models.image_rows import is_image_row

__all__ = ["Lookup"]

# Shorter runs recur by chance, longer ones are found late.
RUN = 3


class Lookup:
    """A text as it grows, and where in it the present run was seen before.

    Attributes:
        streak: how many tokens in a row came as they were guessed.
    """

    def __init__(self, tokens: Iterable[int] = ()):
        self.tokens: list[int] = []
        self.streak = 0
        self._after: dict[tuple[int, ...], int] = {}
        self._next: int | None = None
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        """The text's next token."""
        guessed = self._next is not None and self.tokens[self._next] == token
        self.tokens.append(token)
        run = tuple(self.tokens[-RUN:])
        if guessed and self._next is not None:
            self.streak += 1
            self._next += 1
        else:
            self.streak = 0
            self._next = self._after.get(run)
        self._after[run] = len(self.tokens)

    def guesses(self, most: int) -> list[int]:
        """Up to ``most`` tokens that may come next; none where the text has nothing alike."""
        guessed: list[int] = []
        if self._next is not None:
            for at in range(self._next, self._next + most):
                # A run that goes on up to here repeats itself.
                beyond = at - len(self.tokens)
                guess = self.tokens[at] if beyond < 0 else guessed[beyond]
                if is_image_row(guess):
                    break
                guessed.append(guess)
        return guessed
