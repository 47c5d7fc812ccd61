"""An engine without a model, whose answers a test steers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from webllm_py import EngineClosedError
from webllm_py.api import ChatCompletion, ChatResponses, Finished, Timings, Usage
from webllm_py.api.embeddings import CreateEmbeddingResponse, Embedding, EmbeddingUsage
from webllm_py.streaming import Stream

__all__ = ["FakeEngine"]

USAGE = Usage.count(
    3, 2, cached_tokens=1, timings=Timings(time_to_first_token_s=0.02, e2e_latency_s=0.3)
)


class FakeEngine:
    """Answers every request with ``words``.

    Attributes:
        fails: raised by ``create``; or, with ``fails_after`` n, by a stream after n of its pieces.
        asked: the fields of each request.
        answering: answers under way.
        cut: answers that were ended early.
        adapters: what is loaded beside it.
        go_on: cleared, answers wait before their last word.
    """

    def __init__(self, *words: str) -> None:
        self.words = words or ("Hello", " there")
        self.fails: Exception | None = None
        self.fails_after: int | None = None
        self.asked: list[dict[str, Any]] = []
        self.answering = self.cut = self.recovered = self.waiting = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.closed = False
        self.adapters: dict[str, Any] = {}
        self.chat = self.completions = self  # their ``create`` is this one's
        self.embeddings = FakeEmbeddings()
        self.tokenizer = FakeTokenizer()

    @property
    def name(self) -> str:
        if self.closed:
            raise EngineClosedError("gone")
        return "fake"

    @property
    def models(self) -> dict[str, FakeEngine]:
        return {self.name: self}

    @property
    def info(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "context_length": 64,
            "vocab_size": 256,
            "gpu_memory": 1000,
        }

    async def recover(self) -> None:
        self.recovered += 1

    async def create(self, /, **fields: Any) -> Any:
        self.asked.append(fields)
        if self.fails and self.fails_after is None:
            raise self.fails
        responses = ChatResponses("fake")
        if fields.get("stream"):
            usage = (fields.get("stream_options") or {}).get("include_usage")
            return Stream(self._pieces(responses, usage))
        return await self._whole(responses)

    async def _texts(self) -> AsyncIterator[str]:
        self.answering += 1
        try:
            for i, word in enumerate(self.words):
                if i == len(self.words) - 1:
                    await self.go_on.wait()
                await asyncio.sleep(0)
                yield word
        except BaseException:
            self.cut += 1
            raise
        finally:
            self.answering -= 1

    async def _whole(self, responses: ChatResponses) -> ChatCompletion:
        text = "".join([word async for word in self._texts()])
        return responses.whole([Finished(text, "stop")], USAGE)

    async def _pieces(self, responses: ChatResponses, usage: bool) -> AsyncIterator[Any]:
        made = 0
        async for piece in self._all(responses, usage):
            if made == self.fails_after and self.fails:
                raise self.fails
            yield piece
            made += 1

    async def _all(self, responses: ChatResponses, usage: bool) -> AsyncIterator[Any]:
        for piece in responses.opening(0):
            yield piece
        async for word in self._texts():
            for piece in responses.text(0, word):
                yield piece
        for piece in responses.finish(0, "stop"):
            yield piece
        if usage:
            yield responses.usage(USAGE)


class FakeEmbeddings:
    async def create(self, /, **fields: Any) -> CreateEmbeddingResponse:
        return CreateEmbeddingResponse([Embedding([0.5, 0.25], 0)], "fake", EmbeddingUsage(4, 4))


class FakeTokenizer:
    """A token a byte."""

    def encode(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        end = [0] if add_special else []
        return [*(text if parse_special else text.replace("<", "[")).encode(), *end]

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode()

    def token_bytes(self, id: int) -> bytes:
        return bytes([id])
