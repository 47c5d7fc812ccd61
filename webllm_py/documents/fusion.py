"""Several rankings in one: reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

__all__ = ["fused"]

KeyT = TypeVar("KeyT", bound=Hashable)


def fused(rankings: Iterable[Sequence[KeyT]], *, k: int = 60) -> list[tuple[KeyT, float]]:
    """What any of the rankings has, and its score, the best first.

    Args:
        rankings: each the best first, its scores of whatever kind.
        k: how little the first places stand out.
    """
    scores: defaultdict[KeyT, float] = defaultdict(float)
    for ranking in rankings:
        for rank, key in enumerate(ranking, 1):
            scores[key] += 1 / (k + rank)
    return sorted(scores.items(), key=lambda item: -item[1])
