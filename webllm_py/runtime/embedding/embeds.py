"""The protocol of embedders: token ids to vectors, whatever kind of model they run."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Protocol

__all__ = ["Embeds"]


class Embeds(Protocol):
    """An encoder, or a decoder that was trained to embed.

    Attributes:
        context_length: the most tokens of a text.
    """

    context_length: int

    @property
    def vocab_size(self) -> int:
        """How many token ids there are."""

    @property
    def hidden_size(self) -> int:
        """Numbers of a vector."""

    @property
    def normalized(self) -> bool:
        """Whether vectors are of length 1."""

    async def embed(
        self, texts: Sequence[Sequence[int]], interrupted: Callable[[], bool]
    ) -> list[array[float]] | None:
        """The vector of each text, float32; None if ``interrupted`` says so meanwhile."""
