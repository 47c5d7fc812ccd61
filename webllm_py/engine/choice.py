"""One of a request's choices: its text, how it ends, and where each token is in the text."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, TypeAlias

from webllm_py.api import FinishReason, StopFilter
from webllm_py.runtime.generation.generate import GenerationStats
from webllm_py.runtime.sampling.settings import SamplingSettings
from webllm_py.tokenizer import StreamDecoder

if TYPE_CHECKING:
    from webllm_py.runtime.sampling.logprobs import TokenLogprob

__all__ = ["Choice", "Placed"]

Placed: TypeAlias = "tuple[int, TokenLogprob]"
"""How many characters of the text precede a token, and its log-probability."""


class Choice:
    """A choice as far as it has come.

    Args:
        index: its number in the response.
        decoder: turns its tokens into text.
        stops: looks for stop strings.
        ends: tokens that end it.
        settings: how its tokens are drawn.
        echo: text that comes before it, and the log-probabilities of that text's tokens.
        least: before this many tokens no stop string counts (``min_tokens``).

    Attributes:
        tokens: the tokens that its text is made of.
        finish: why it ended; None while it goes on.
        logprob: the mean of its tokens' log-probabilities, where they are found.
    """

    def __init__(
        self,
        index: int,
        decoder: StreamDecoder,
        stops: StopFilter,
        ends: Container[int],
        *,
        settings: SamplingSettings,
        echo: tuple[str, Sequence[Placed]] = ("", ()),
        least: int = 0,
    ):
        self.index = index
        self.settings = settings
        self.tokens: list[int] = []
        self.stats = GenerationStats()
        self.text: list[str] = []
        self.finish: FinishReason | None = None
        self._decoder = decoder
        self._stops = stops
        self._ends = ends
        self._least = least
        self._read = self._shown = len(echo[0])  # characters
        self._placed = deque(echo[1])

    @property
    def logprob(self) -> float:
        found = [entry.logprob or 0.0 for entry in self.stats.logprobs[: self.stats.generated]]
        return sum(found) / max(1, len(found))

    def begin(self, known: int) -> None:
        """Begin to take drawn tokens, after the first ``known``, which it has already."""
        self.stats.generated = known
        del self.stats.logprobs[known:]

    def push(self, tokens: Sequence[int]) -> str:
        """Take tokens; the text that may be shown now. ``finish`` is set if it ends with them."""
        watched = self._stops.watches or self.stats.logprobs
        text = self._each(tokens) if watched else self._all(tokens)
        self._shown += len(text)
        return text

    def _all(self, tokens: Sequence[int]) -> str:
        """``push`` without stop strings and log-probabilities."""
        ends = self._ends
        ended = next((i for i, token in enumerate(tokens) if token in ends), None)
        self.tokens += tokens[:ended]
        text = self._decoder.push_all(tokens[:ended])
        if ended is not None:
            self._end_behind(len(tokens) - ended - 1)
        self._read += len(text)
        return text

    def _each(self, tokens: Sequence[int]) -> str:
        """``push``, token by token."""
        text = ""
        for used, token in enumerate(tokens, start=1):
            stopped = token in self._ends
            if not stopped:
                shown, stopped = self._next(token)
                text += shown
            if stopped:
                self._end_behind(len(tokens) - used)
                break
        return text

    def _end_behind(self, unused: int) -> None:
        """The text ended with a token; the ``unused`` ones after it do not count."""
        self.stats.generated -= unused
        self.stats.unused = unused
        self.finish = "stop"

    def _next(self, token: int) -> tuple[str, bool]:
        """Take a token; the text that may be shown now, and whether a stop string ends it."""
        if self.stats.logprobs:
            self._placed.append((self._read, self.stats.logprobs[len(self.tokens)]))
        self.tokens.append(token)
        text = self._decoder.push(token)
        self._read += len(text)
        return (text, False) if len(self.tokens) <= self._least else self._stops.push(text)

    def end(self, finish: FinishReason) -> str:
        """Take note that no more tokens come; the text that was held back.

        Args:
            finish: why it ended, if that is not known yet.
        """
        flushed = self._decoder.flush()
        shown, stopped = self._stops.push(flushed)
        self._read += len(flushed)
        self.finish = self.finish or ("stop" if stopped else finish)
        shown += self._stops.flush()
        self._shown += len(shown)
        return shown

    def placed(self) -> list[Placed]:
        """The log-probabilities of tokens that begin within the text shown so far, each returned
        once; at the end also of tokens without text."""
        found = []
        whole = self.finish and self._shown == self._read
        while self._placed and (self._placed[0][0] < self._shown or whole):
            found.append(self._placed.popleft())
        return found
