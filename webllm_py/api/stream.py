"""From text to responses: the objects that an engine yields or returns for one request.

An engine says what happened (a choice opened, text came, a choice ended, usage is known) and gets
the pieces to yield; or it hands over all choices at the end and gets the whole response. Both
kinds of request have the same methods, so one loop serves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from webllm_py.api.responses import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    ChoiceDelta,
    ChunkChoice,
    Completion,
    CompletionChoice,
    FinishReason,
    Usage,
    new_id,
    now,
)

__all__ = ["ChatResponses", "CompletionResponses", "Responses"]

WholeT = TypeVar("WholeT", covariant=True)
PieceT = TypeVar("PieceT")


class Responses(Protocol[WholeT, PieceT]):
    """Builds the responses of one request: the same id, time and model in all of them."""

    def opening(self, index: int) -> list[PieceT]:
        """Pieces that come before the text of a choice."""

    def text(self, index: int, text: str) -> PieceT:
        """The next text of a choice."""

    def finish(self, index: int, reason: FinishReason) -> PieceT:
        """The end of a choice."""

    def usage(self, usage: Usage) -> PieceT:
        """The last piece, without choices, where the request asked for the usage."""

    def whole(self, choices: Sequence[tuple[str, FinishReason]], usage: Usage) -> WholeT:
        """The response in one, from each choice's text and end."""


class ChatResponses:
    """Responses of a chat request. A choice opens with its role, as OpenAI's streams do."""

    def __init__(self, model: str) -> None:
        self._id = new_id("chatcmpl")
        self._created = now()
        self._model = model

    def opening(self, index: int) -> list[ChatCompletionChunk]:
        return [self._chunk(ChunkChoice(ChoiceDelta(content="", role="assistant"), index))]

    def text(self, index: int, text: str) -> ChatCompletionChunk:
        return self._chunk(ChunkChoice(ChoiceDelta(content=text), index))

    def finish(self, index: int, reason: FinishReason) -> ChatCompletionChunk:
        return self._chunk(ChunkChoice(ChoiceDelta(), index, reason))

    def usage(self, usage: Usage) -> ChatCompletionChunk:
        return self._chunk(usage=usage)

    def whole(self, choices: Sequence[tuple[str, FinishReason]], usage: Usage) -> ChatCompletion:
        return ChatCompletion(
            id=self._id,
            choices=[
                Choice(reason, index, ChatCompletionMessage(text))
                for index, (text, reason) in enumerate(choices)
            ],
            created=self._created,
            model=self._model,
            usage=usage,
        )

    def _chunk(self, *choices: ChunkChoice, usage: Usage | None = None) -> ChatCompletionChunk:
        return ChatCompletionChunk(self._id, list(choices), self._created, self._model, usage=usage)


class CompletionResponses:
    """Responses of a text completion request; a piece has the shape of the whole."""

    def __init__(self, model: str) -> None:
        self._id = new_id("cmpl")
        self._created = now()
        self._model = model

    def opening(self, index: int) -> list[Completion]:
        return []

    def text(self, index: int, text: str) -> Completion:
        return self._completion([CompletionChoice(None, index, text)])

    def finish(self, index: int, reason: FinishReason) -> Completion:
        return self._completion([CompletionChoice(reason, index, "")])

    def usage(self, usage: Usage) -> Completion:
        return self._completion([], usage)

    def whole(self, choices: Sequence[tuple[str, FinishReason]], usage: Usage) -> Completion:
        return self._completion(
            [CompletionChoice(reason, i, text) for i, (text, reason) in enumerate(choices)], usage
        )

    def _completion(
        self, choices: list[CompletionChoice], usage: Usage | None = None
    ) -> Completion:
        return Completion(self._id, choices, self._created, self._model, usage=usage)
