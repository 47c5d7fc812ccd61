"""The options of a bench."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BenchOptions"]


@dataclass(frozen=True)
class BenchOptions:
    """What to measure.

    Attributes:
        prompt_tokens: prompt lengths whose prefill is measured; the first token's time as well.
        contexts: tokens in the context when decoding begins.
        tokens: tokens to decode, at least 2.
        history: tokens of a conversation that are in the KV cache when a prompt of the first
            length follows.
        together: answers to one prompt that are decoded together.
        runs: runs of each measurement; one more, before, warms up. Fewer once they took half a
            minute together.
        profile: time every kernel of a decode step at each context, of one of several answers, and
            of a prefill chunk.
    """

    prompt_tokens: Sequence[int] = (32, 1024)
    contexts: Sequence[int] = (128, 1024)
    tokens: int = 128
    runs: int = 5
    history: int = 1000
    together: int = 8
    profile: bool = False

    def __post_init__(self) -> None:
        if self.tokens < 2:
            raise ValueError(f"tokens must be at least 2 to have a rate, not {self.tokens}")
        if self.runs < 1 or not self.prompt_tokens or not self.contexts:
            raise ValueError("there must be at least one run, prompt length and context")
        if min(*self.prompt_tokens, *self.contexts, self.history, self.together) < 1:
            raise ValueError("lengths, contexts and numbers of answers must be positive")

    @property
    def longest(self) -> int:
        """Positions that the longest request needs."""
        return max(
            max(self.prompt_tokens) + 1,
            max(self.contexts) + self.tokens,
            self.history + self.prompt_tokens[0] + 1,
        )
