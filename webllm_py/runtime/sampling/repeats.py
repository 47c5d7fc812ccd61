"""Rules about what repeats: no n-gram twice, and DRY. Python keeps the text, token by token."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from webllm_py.models.image_rows import without_images
from webllm_py.runtime.sampling.settings import Dry, SamplingSettings

if TYPE_CHECKING:
    from webllm_py.runtime.generation.constraints import Vocabulary

__all__ = ["DryRule", "NoRepeatedNgrams", "TextRules"]

BANNED = -1e30
"""A bias after which a token is not drawn; finite, for it is multiplied."""


class NoRepeatedNgrams:
    """Bans tokens that would end an n-gram that the text has already (transformers'
    ``no_repeat_ngram_size``)."""

    def __init__(self, size: int):
        self._before: tuple[int, ...] = ()
        self._size = size
        self._after: defaultdict[tuple[int, ...], set[int]] = defaultdict(set)

    def accept(self, token: int) -> None:
        """The text's next token."""
        if len(self._before) == self._size - 1:
            self._after[self._before].add(token)
        self._before = (*self._before, token)[-(self._size - 1) :] if self._size > 1 else ()

    def biases(self) -> Mapping[int, float]:
        """What is added to tokens' logits for the next draw."""
        return dict.fromkeys(self._after.get(self._before, ()), BANNED)


class DryRule:
    """Penalties of ``webllm_py.runtime.sampling.settings.Dry``.

    Args:
        token_bytes: of a token, to find the texts that end a repetition. One that several tokens
            spell ends it with the last of them.
    """

    def __init__(self, dry: Dry, token_bytes: Callable[[int], bytes]):
        self._dry = dry
        self._token_bytes = token_bytes
        self._breakers = [text.encode() for text in dry.breakers]
        self._tail = b""
        self._tokens: list[int] = []
        self._where: defaultdict[int, list[int]] = defaultdict(list)
        self._unbroken = 0  # tokens behind the last breaker
        # Of each position, how many tokens before it are those that the text ends with. None while
        # nobody asks: of a prompt of one token, following them takes its length squared.
        self._repeated: dict[int, int] | None = None

    def accept(self, token: int) -> None:
        """The text's next token."""
        repeated = self._repeated
        breaks = self._breaks(token)
        self._unbroken = 0 if breaks else self._unbroken + 1
        if repeated is not None:
            places = () if breaks else self._where[token]
            self._repeated = {place + 1: repeated.get(place, 0) + 1 for place in places}
        self._where[token].append(len(self._tokens))
        self._tokens.append(token)

    def biases(self) -> Mapping[int, float]:
        """What is added to tokens' logits for the next draw."""
        dry, first = self._dry, 0
        if dry.last_n >= 0:
            first = max(0, len(self._tokens) - dry.last_n)
        longest: dict[int, int] = {}
        if self._repeated is None:
            self._repeated = self._find_repeated()
        for place, length in self._repeated.items():
            within = min(length, place - first)
            if within >= dry.allowed_length:
                token = self._tokens[place]
                longest[token] = max(longest.get(token, 0), within)
        return {token: -self._penalty(length) for token, length in longest.items()}

    def _find_repeated(self) -> dict[int, int]:
        lengths, end = common_prefixes(self._tokens[::-1]), len(self._tokens)
        found = {end - back: min(length, self._unbroken) for back, length in enumerate(lengths)}
        return {place: length for place, length in found.items() if length}

    def _penalty(self, length: int) -> float:
        dry = self._dry
        power = (length - dry.allowed_length) * math.log(dry.base)
        return min(-BANNED, dry.multiplier * math.exp(min(power, 69)))

    def _breaks(self, token: int) -> bool:
        """Whether one of the breakers ends within this token."""
        before = len(self._tail)
        seen = self._tail + self._token_bytes(token)
        longest = max(map(len, self._breakers), default=1)
        self._tail = seen[max(0, len(seen) - longest + 1) :]
        return any(seen.find(b, max(0, before - len(b) + 1)) >= 0 for b in self._breakers)


def common_prefixes(text: Sequence[int]) -> list[int]:
    """Of each position, how many tokens from there on are those that the text begins with; of the
    first one 0. In linear time (the Z-algorithm: Gusfield, Algorithms on Strings, 1997, 1.4)."""
    lengths = [0] * len(text)
    begin = end = 0  # of the tokens that are known to be the text's first ones, those farthest on
    for place in range(1, len(text)):
        length = min(lengths[place - begin], end - place) if place < end else 0
        while place + length < len(text) and text[length] == text[place + length]:
            length += 1
        if place + length > end:
            begin, end = place, place + length
        lengths[place] = length
    return lengths


class TextRules:
    """The rules of a request, over its prompt and what is drawn.

    Args:
        prompt: the prompt's tokens.
    """

    def __init__(
        self, settings: SamplingSettings, prompt: Sequence[int], vocabulary: Vocabulary | None
    ):
        self._base = settings.logit_bias
        self._rules: list[NoRepeatedNgrams | DryRule] = []
        if settings.no_repeat_ngram_size:
            self._rules.append(NoRepeatedNgrams(settings.no_repeat_ngram_size))
        if settings.dry:
            assert vocabulary is not None
            self._rules.append(DryRule(settings.dry, vocabulary.token_bytes))
        self._biases: dict[int, float] = {}
        for token in without_images(prompt):
            self.accept(token)

    def accept(self, token: int) -> None:
        """The text's next token."""
        for rule in self._rules:
            rule.accept(token)

    def changes(self) -> dict[int, float]:
        """Biases that are others than at the last call, ``logit_bias`` included."""
        before, now = self._biases, dict[int, float]()
        for rule in self._rules:
            for token, bias in rule.biases().items():
                now[token] = now.get(token, 0.0) + bias
        self._biases = now
        return {
            token: self._base.get(token, 0.0) + now.get(token, 0.0)
            for token in {*before, *now}
            if before.get(token) != now.get(token)
        }
