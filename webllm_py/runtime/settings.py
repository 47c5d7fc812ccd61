"""How the next token is chosen: every number that the sampler needs, already checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["LogitsProcessor", "SamplingSettings"]

# Gets and returns one float32 array of shape (vocab,): numpy's where numpy can be imported,
# else an ``array.array("f")``. It may change the array that it got.
LogitsProcessor: TypeAlias = Callable[[Any], Any]


# Nothing but the most likely token would be drawn, and far below float32 cannot hold the quotients.
COLDEST = 1e-5


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Settings of one request's sampler. A neutral value switches a part off.

    Attributes:
        temperature: divides the logits, >= 0; below 1e-5 takes the most likely token (greedy).
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the most likely tokens until their probabilities sum to at least this, 0..1;
            at least one token stays. 1 keeps all.
        min_p: drop tokens less likely than this share of the most likely one, 0..1; 0 drops none.
        seed: starts the random numbers, so that the same request gives the same tokens on the
            same device; None draws a new one. A signed 64-bit integer.
        repetition_penalty: 0.001..1000; logits of tokens in the prompt or in the text so far are
            divided by it where positive and multiplied where negative (CTRL, Keskar et al. 2019).
            1 is off.
        frequency_penalty: -2..2; taken from a token's logit for each time it was generated.
        presence_penalty: -2..2; taken from a token's logit once it was generated.
        logit_bias: token id -> number added to its logit, -100..100.
        logits_processors: Python functions that see the logits first, in order. They cost one
            wait for the GPU a token.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int | None = None
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logits_processors: tuple[LogitsProcessor, ...] = ()

    @property
    def memoryless(self) -> bool:
        """Whether the logits alone decide about a draw, whatever was drawn before."""
        penalties = self.frequency_penalty, self.presence_penalty
        return self.repetition_penalty == 1 and not any(penalties)

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken, so that no random number is needed."""
        return self.temperature < COLDEST or self.top_k == 1
