"""What a service asks of the engine behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

__all__ = ["ServedEngine"]


class ServedEngine(Protocol):
    """The engine that answers. Types are ``Any`` where they are those of OpenAI's client."""

    @property
    def name(self) -> str:
        """Its model's name."""

    @property
    def info(self) -> dict[str, Any]:
        """What runs where."""

    @property
    def adapters(self) -> Mapping[str, Any]:
        """The LoRA adapters of the model, by name."""

    @property
    def waiting(self) -> int:
        """Number of requests that are queued."""

    @property
    def answering(self) -> int:
        """Number of requests that are being answered."""

    @property
    def tokenizer(self) -> Any:
        """Its model's tokenizer."""

    @property
    def models(self) -> Mapping[str, Any]:
        """All models by name, each as an engine; its own first."""

    chat: Any
    completions: Any
    embeddings: Any

    async def recover(self) -> None:
        """Start again after the device was lost."""
