"""Whether two engines compute the same model: their logits after a prompt, their greedy answers.

A comparison of speed says nothing where they do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["CHECK", "Agreement", "agreement"]

# What both are asked: prompts of token ids that any vocabulary has, and how many tokens the first
# one is answered with. Engines have other kernels for long prompts than for short ones.
CHECK: Mapping[str, Any] = {
    "prompts": [[(1 + 37 * i) % 250 for i in range(length)] for length in (16, 64)],
    "tokens": 16,
}
# Of the same weights: activations in 8 bits are further away than float16 ones, but not so far.
SAME = 0.02


@dataclass(frozen=True)
class Agreement:
    """How alike two engines are.

    Attributes:
        divergences: Kullback-Leibler's, of the peer's next token's distribution from ours after
            each prompt, in nats.
        same_tokens: how many of the first tokens of the answers are the same.
        tokens: of an answer.
    """

    divergences: list[float]
    same_tokens: int
    tokens: int

    def text(self, name: str) -> str:
        """For people."""
        values = " and ".join(f"{value:.1e}" for value in self.divergences)
        lengths = " and ".join(str(len(prompt)) for prompt in CHECK["prompts"])
        same = max(self.divergences) < SAME
        found = "computed the same" if same else "did NOT compute the same on this adapter"
        return (
            f"{name} {found}: KL of the next token after {lengths} tokens {values},\n"
            f"{self.same_tokens} of {self.tokens} greedy tokens the same"
        )

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def agreement(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Agreement:
    """Compare two answers to ``CHECK``: "logits" after each prompt, and "tokens"."""
    pairs = list(zip(ours["tokens"], theirs["tokens"], strict=True))
    same = next((i for i, (mine, other) in enumerate(pairs) if mine != other), len(pairs))
    rows = zip(theirs["logits"], ours["logits"], strict=True)
    return Agreement([divergence(*row) for row in rows], same, len(pairs))


def divergence(logits: Sequence[float], of: Sequence[float]) -> float:
    """Kullback-Leibler's, of the distribution of these logits from that ``of`` others."""
    logs = zip(log_probabilities(logits), log_probabilities(of), strict=True)
    return sum(math.exp(p) * (p - q) for p, q in logs)


def log_probabilities(logits: Sequence[float]) -> list[float]:
    """Their log-softmax."""
    most = max(logits)
    total = most + math.log(sum(math.exp(x - most) for x in logits))
    return [x - total for x in logits]
