"""How the next token is chosen: every number that the sampler needs, already checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Dry", "LogitsProcessor", "SamplingSettings"]

# Gets and returns one float32 array of shape (vocab,): numpy's where numpy can be imported,
# else an ``array.array("f")``. It may change the array that it got, and may return an awaitable of
# what it returns. If it has a method ``accept``, that is called with each token that is drawn; if
# it has ``reset``, that is called before an answer's first one.
LogitsProcessor: TypeAlias = Callable[[Any], Any]


# Nothing but the most likely token would be drawn, and far below float32 cannot hold the quotients.
COLDEST = 1e-5


@dataclass(frozen=True, kw_only=True)
class Dry:
    """DRY ("don't repeat yourself"; text-generation-webui's pull request 5677, llama.cpp).

    A token that would go on with a repetition of n tokens, n >= ``allowed_length``, loses
    ``multiplier * base ** (n - allowed_length)``.

    Attributes:
        last_n: how many of the last tokens, the prompt's too, may be repeated; -1 for all.
        breakers: a repetition does not reach back over these texts.
    """

    multiplier: float
    base: float = 1.75
    allowed_length: int = 2
    last_n: int = -1
    breakers: tuple[str, ...] = ("\n", ":", '"', "*")


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Settings of one request's sampler. A neutral value switches a part off.

    Attributes:
        temperature: divides the logits, >= 0; below 1e-5 takes the most likely token (greedy).
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the most likely tokens until their probabilities sum to at least this, 0..1;
            at least one token stays. 1 keeps all.
        min_p: drop tokens less likely than this share of the most likely one, 0..1; 0 drops none.
        typical_p: of the tokens that these leave, keep those whose surprise is nearest to the
            entropy, until their probabilities sum to at least this (locally typical sampling,
            Meister et al. 2022); 1 keeps all.
        xtc_probability, xtc_threshold: with this probability, of the tokens that are left drop all
            that are at least as likely as the threshold, but for the least likely of them
            ("exclude top choices", as llama.cpp and text-generation-webui have it); 0 drops none.
        mirostat: its version, 1 or 2; see ``mirostat_tau``.
        mirostat_tau: the surprise, in bits a token, that mirostat steers to (Basu et al. 2021);
            0 is off. Where it is on, none of the cuts above is made.
        mirostat_eta: mirostat's learning rate.
        seed: starts the random numbers, so that the same request gives the same tokens on the
            same device; None draws a new one. A signed 64-bit integer.
        repetition_penalty: 0.001..1000; logits of tokens in the prompt or in the text so far are
            divided by it where positive and multiplied where negative (CTRL, Keskar et al. 2019).
            1 is off.
        frequency_penalty: -2..2; taken from a token's logit for each time it was generated.
        presence_penalty: -2..2; taken from a token's logit once it was generated.
        logit_bias: token id -> number added to its logit, -100..100.
        min_tokens: tokens that end a text are not drawn before this many others.
        no_repeat_ngram_size: a token is not drawn where it would complete an n-gram of this size
            that the prompt or the text so far already has; 0 is off.
        dry: a penalty on continuing a repetition; None is off.
        logits_processors: Python functions that see the logits first, in order, and may be told of
            tokens, see ``LogitsProcessor``. They cost one wait for the GPU a token, and so do
            ``no_repeat_ngram_size`` and ``dry``.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    mirostat: int = 2
    mirostat_tau: float = 0.0
    mirostat_eta: float = 0.1
    seed: int | None = None
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    min_tokens: int = 0
    no_repeat_ngram_size: int = 0
    dry: Dry | None = None
    logits_processors: tuple[LogitsProcessor, ...] = ()

    @property
    def memoryless(self) -> bool:
        """Whether a draw depends on the logits alone, not on the tokens before it."""
        penalties = self.frequency_penalty, self.presence_penalty, self.has_rules
        counted = self.min_tokens, self.mirostat_tau, self.logits_processors
        return self.repetition_penalty == 1 and not any((*penalties, *counted))

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken, so that no random number is needed."""
        return self.temperature < COLDEST or (self.top_k == 1 and not self.mirostat_tau)

    @property
    def cuts(self) -> bool:
        """Whether tokens are cut before a draw, so that not all have a chance."""
        headed = self.top_k > 0 or self.top_p < 1 or self.min_p > 0
        return not self.greedy and (headed or self.shaped)

    @property
    def shaped(self) -> bool:
        """Whether tokens are cut otherwise than from the least likely end."""
        return self.typical_p < 1 or self.xtc_probability > 0 or self.mirostat_tau > 0

    @property
    def has_rules(self) -> bool:
        """Whether there are rules about what repeats in the text."""
        return bool(self.no_repeat_ngram_size or self.dry)
