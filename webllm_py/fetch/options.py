"""How files are downloaded and kept."""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass
from typing import Any

from webllm_py.errors import SourceError

__all__ = ["HUB", "FetchOptions", "Patience"]

HUB = "https://huggingface.co"
MOST_SECONDS = 60.0  # that a server is waited for, whatever it asks


@dataclass(frozen=True)
class FetchOptions:
    """How ``load`` gets a model from a server.

    Attributes:
        keep: keep what is downloaded in the models' store, and read from there what is in it.
        store: the store to use; None for the default one, see ``models_store``.
        refresh: ask the server again for a model that is kept; what changed is downloaded anew.
        token: sent to the Hugging Face hub alone, for gated and private models; None for the
            environment's HF_TOKEN.
        endpoint: of the hub, or of a mirror of it; None for the environment's HF_ENDPOINT, or the
            hub itself.
        parallel: requests to one server at a time, where it serves ranges.
        timeout: seconds without a byte after which a request is given up.
        tries: of a request in which no byte comes, before an error is raised.
        backoff: seconds before the second try; twice as many before each further one.
    """

    keep: bool = True
    store: Any = None
    refresh: bool = False
    token: str | None = None
    endpoint: str | None = None
    parallel: int = 4
    timeout: float = 30.0
    tries: int = 6
    backoff: float = 0.5

    def __post_init__(self) -> None:
        if self.parallel < 1 or self.tries < 1 or self.timeout <= 0 or self.backoff < 0:
            raise ValueError(
                "parallel and tries must be at least 1, timeout and backoff not be negative"
            )

    @property
    def hub(self) -> str:
        """The hub's address, without a slash at its end."""
        return (self.endpoint or os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")

    def headers(self, url: str) -> dict[str, str]:
        """What is sent along with a request for a URL."""
        token = self.token or os.environ.get("HF_TOKEN")
        if token and url.startswith(f"{self.hub}/"):
            return {"Authorization": f"Bearer {token}"}
        return {}


class Patience:
    """Tries again after failures that may pass, later and later, until too many follow another."""

    def __init__(self, options: FetchOptions):
        self._options = options
        self._failures = 0

    def progress(self) -> None:
        """Something came."""
        self._failures = 0

    async def wait(self, error: SourceError) -> None:
        """Wait before the next try.

        Raises:
            SourceError: the given one, if trying again is of no use.
        """
        if not await self.waited(error):
            raise error

    async def waited(self, error: SourceError) -> bool:
        """As ``wait``; whether trying again is of use."""
        self._failures += 1
        if not error.transient or self._failures >= self._options.tries:
            return False
        seconds = self._options.backoff * 2 ** (self._failures - 1) * random.uniform(0.5, 1)
        await asyncio.sleep(min(max(seconds, error.retry_after or 0), MOST_SECONDS))
        return True
