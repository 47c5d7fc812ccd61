"""``engine.chat.completions``, ``.completions``, ``.embeddings``, and streams as iterators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeVar, overload

from webllm_py import engine as asynchronous
from webllm_py.api import ChatCompletion, ChatCompletionChunk, Completion
from webllm_py.api.embeddings import CreateEmbeddingResponse
from webllm_py.sync.runners import Runner

__all__ = ["Chat", "Completions", "Embeddings", "Stream"]

PieceT = TypeVar("PieceT")


class Stream(Iterator[PieceT]):
    """The pieces of an answer. ``close`` (or ``with``) ends it early; so does dropping it."""

    def __init__(self, stream: Any, runner: Runner):
        self._stream, self._runner = stream, runner
        self._ended = False

    def __next__(self) -> PieceT:
        piece: PieceT | None = None
        if not self._ended:
            piece = self._runner.run(following(self._stream))
        if piece is None:
            self._ended = True
            raise StopIteration
        return piece

    def __enter__(self) -> Stream[PieceT]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the answer; returns when the engine is free again."""
        if not self._ended:
            self._ended = True
            self._runner.run(self._stream.aclose())

    def __del__(self) -> None:
        if not self._ended:
            self._runner.forget(self._stream.aclose())


async def following(stream: Any) -> Any:
    """The next piece of a stream; None after the last one."""
    return await anext(stream, None)


class Chat:
    """``engine.chat``."""

    def __init__(self, engine: asynchronous.Engine, runner: Runner):
        self.completions = ChatCompletions(engine.chat.completions, runner)


class ChatCompletions:
    """``engine.chat.completions``."""

    def __init__(self, resource: Any, runner: Runner):
        self._resource, self._runner = resource, runner

    @overload
    def create(self, /, *, stream: Literal[True], **fields: Any) -> Stream[ChatCompletionChunk]: ...
    @overload
    def create(self, /, **fields: Any) -> ChatCompletion: ...
    def create(self, /, **fields: Any) -> ChatCompletion | Stream[ChatCompletionChunk]:
        """Answer a conversation; with ``stream=True`` an iterator of the answer's pieces."""
        return created(self._resource, self._runner, fields)  # type: ignore[no-any-return]


class Completions:
    """``engine.completions``."""

    def __init__(self, resource: Any, runner: Runner):
        self._resource, self._runner = resource, runner

    @overload
    def create(self, /, *, stream: Literal[True], **fields: Any) -> Stream[Completion]: ...
    @overload
    def create(self, /, **fields: Any) -> Completion: ...
    def create(self, /, **fields: Any) -> Completion | Stream[Completion]:
        """Go on with a text; with ``stream=True`` an iterator of the answer's pieces."""
        return created(self._resource, self._runner, fields)  # type: ignore[no-any-return]


class Embeddings:
    """``engine.embeddings``."""

    def __init__(self, resource: Any, runner: Runner):
        self._resource, self._runner = resource, runner

    def create(self, /, **fields: Any) -> CreateEmbeddingResponse:
        """Turn texts into vectors."""
        return created(self._resource, self._runner, fields)  # type: ignore[no-any-return]


def created(resource: Any, runner: Runner, fields: dict[str, Any]) -> Any:
    """What a resource answers, a stream as an iterator."""
    answer = runner.run(resource.create(**fields))
    return Stream(answer, runner) if hasattr(answer, "__anext__") else answer
