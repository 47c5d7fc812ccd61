"""How files are downloaded and kept."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

from webllm_py.errors import SourceError
from webllm_py.fetch.source import Chunk, join_chunks

__all__ = ["HUB", "FetchOptions", "Patience"]

HUB = "https://huggingface.co"
Result = TypeVar("Result")

SRI = re.compile(r"sha(256|384|512)-[A-Za-z0-9+/]+={0,2}")
MOST_SECONDS = 60.0  # of a wait, whatever a server's Retry-After says


@dataclass(frozen=True)
class FetchOptions:
    """How ``load`` gets a model from a server.

    Attributes:
        keep: keep what is downloaded in the models' store, and read from there what is in it.
        store: the store to use; None for the default one, see ``models_store``.
        refresh: check with the server whether a model that is kept has changed, and download what
            has.
        token: access token for gated and private models, sent to the Hugging Face hub only; None
            for the environment's HF_TOKEN.
        endpoint: URL of the hub, or of a mirror; None for the environment's HF_ENDPOINT, or the hub
            itself.
        parallel: most requests to one server at a time, where it serves ranges.
        timeout: seconds without a byte after which a request is given up.
        tries: how many tries in a row may bring no byte before the error is raised.
        backoff: seconds before the second try; doubled before each further one.
        on_retry: called before each wait for another try, with the error and the seconds.
        integrity: digests by files' names, "sha256-", "sha384-" or "sha512-" and base64, as
            Subresource Integrity has them: a file that is read and has another is not used. Those
            that the hub and MLC's index know are compared anyway.
        mismatch: what comes of such a file: "error", an IntegrityError, or "warn", a warning.
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
    on_retry: Callable[[SourceError, float], object] | None = None
    integrity: Mapping[str, str] = field(default_factory=dict)
    mismatch: Literal["error", "warn"] = "error"

    def __post_init__(self) -> None:
        if self.parallel < 1 or self.tries < 1 or self.timeout <= 0 or self.backoff < 0:
            raise ValueError(
                "parallel and tries must be at least 1, timeout and backoff not be negative"
            )
        for name, digest in self.integrity.items():
            if not isinstance(digest, str) or not SRI.fullmatch(digest):
                raise ValueError(
                    f'integrity of {name!r} must be "sha256-", "sha384-" or "sha512-" and the '
                    f"digest as base64, not {digest!r}"
                )
        if self.mismatch not in ("error", "warn"):
            raise ValueError(f"mismatch must be 'error' or 'warn', not {self.mismatch!r}")

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
    """Retries with exponential backoff after transient errors, until too many come in a row."""

    def __init__(self, options: FetchOptions):
        self._options = options
        self._failures = 0

    def progress(self) -> None:
        """Take note that bytes came: the count of failures begins anew."""
        self._failures = 0

    async def wait(self, error: SourceError) -> None:
        """Wait before the next try.

        Raises:
            SourceError: the given one, if it is not transient, or was the last try's.
        """
        self._failures += 1
        if not error.transient or self._failures >= self._options.tries:
            raise error
        seconds = self._options.backoff * 2 ** (self._failures - 1) * random.uniform(0.5, 1)
        seconds = min(max(seconds, error.retry_after or 0), MOST_SECONDS)
        if self._options.on_retry is not None:
            self._options.on_retry(error, seconds)
        await asyncio.sleep(seconds)

    async def until_done(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """The result of ``work``, which is tried again after transient errors."""
        while True:
            try:
                return await work()
            except SourceError as error:
                await self.wait(error)

    async def read(
        self, read_some: Callable[[int, int], Awaitable[Chunk]], offset: int, length: int
    ) -> Chunk:
        """``length`` bytes from ``offset``, fewer only where the file ends. After a transient error
        it goes on behind the bytes that have come.

        Args:
            read_some: reads at most ``length`` bytes from ``offset``: what came before a failure.
        """
        parts: list[Chunk] = []
        done = 0
        while done < length or not parts:
            part = await self.until_done(partial(read_some, offset + done, length - done))
            parts.append(part)
            done += len(part)
            if not len(part):
                break
            self.progress()
        return join_chunks(parts)
