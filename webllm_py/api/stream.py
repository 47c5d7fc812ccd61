"""From text to responses: the objects that an engine yields or returns for one request.

An engine says what happened (a choice opened, text came, a choice ended, usage is known) and gets
the pieces to yield; or it hands over all choices at the end and gets the whole response. Both
kinds of request have the same methods, so one loop serves them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias, TypeVar

from webllm_py.api.inspected import NOT_INSPECTED, Inspected
from webllm_py.api.logprobs import (
    ChoiceLogprobs,
    ScoredToken,
    Scores,
    chat_logprobs,
    completion_logprobs,
)
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
    FunctionCall,
    FunctionCallDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    new_call_id,
    new_id,
    now,
)
from webllm_py.chat.pieces import ContentParser, Kind, Parser, Reply

__all__ = ["ChatResponses", "CompletionResponses", "Finished", "Identity", "Responses"]

Identity: TypeAlias = tuple[str, int] | None

WholeT = TypeVar("WholeT", covariant=True)
PieceT = TypeVar("PieceT")


class Finished(NamedTuple):
    """A choice that has ended."""

    text: str
    reason: FinishReason
    scores: Scores = None
    inspected: Inspected = NOT_INSPECTED


class Responses(Protocol[WholeT, PieceT]):
    """Builds the responses of one request: the same id, time and model in all of them."""

    id: str
    created: int

    def opening(self, index: int) -> list[PieceT]:
        """Pieces that come before the text of a choice."""

    def text(self, index: int, text: str, scores: Scores = None) -> list[PieceT]:
        """The next text of a choice, with its tokens' log-probabilities if these are wanted; what
        is held back comes later."""

    def finish(
        self, index: int, reason: FinishReason, inspected: Inspected = NOT_INSPECTED
    ) -> list[PieceT]:
        """The end of a choice, with what the request returns of the model at work."""

    def usage(self, usage: Usage) -> PieceT:
        """The last piece, without choices, where the request asked for the usage."""

    def whole(self, choices: Sequence[Finished], usage: Usage) -> WholeT:
        """The response in one, from each choice's text, end, and log-probabilities."""


class ChatResponses:
    """Responses of a chat request. A choice opens with its role, as OpenAI's streams do.

    Args:
        parser: makes what tells reasoning, content and calls of a choice's text apart.
        identity: id and time; None for new ones.
    """

    def __init__(
        self, model: str, parser: Callable[[], Parser] = ContentParser, identity: Identity = None
    ) -> None:
        self.id, self.created = identity or (new_id("chatcmpl"), now())
        self._model = model
        self._parser = parser
        self._deltas: dict[int, Deltas] = {}

    def opening(self, index: int) -> list[ChatCompletionChunk]:
        self._deltas[index] = Deltas(self._parser())
        return [self._chunk(ChunkChoice(ChoiceDelta(content="", role="assistant"), index))]

    def text(self, index: int, text: str, scores: Scores = None) -> list[ChatCompletionChunk]:
        deltas = self._deltas[index]
        deltas.scores += scores or ()
        return self._pieces(index, deltas, deltas.push(text))

    def finish(
        self, index: int, reason: FinishReason, inspected: Inspected = NOT_INSPECTED
    ) -> list[ChatCompletionChunk]:
        ending = self._deltas.pop(index)
        pieces = self._pieces(index, ending, ending.end())
        reason = reason_of(reason, called=ending.calls > 0)
        last = ChunkChoice(ChoiceDelta(), index, reason, ending.logprobs(), **inspected)
        return [*pieces, self._chunk(last)]

    def _pieces(
        self, index: int, deltas: Deltas, new: Sequence[ChoiceDelta]
    ) -> list[ChatCompletionChunk]:
        """A piece for each; the first one has the log-probabilities so far."""
        return [self._chunk(ChunkChoice(d, index, logprobs=deltas.logprobs())) for d in new]

    def usage(self, usage: Usage) -> ChatCompletionChunk:
        return self._chunk(usage=usage)

    def whole(self, choices: Sequence[Finished], usage: Usage) -> ChatCompletion:
        return ChatCompletion(
            id=self.id,
            choices=[self._choice(choice, index) for index, choice in enumerate(choices)],
            created=self.created,
            model=self._model,
            usage=usage,
        )

    def _choice(self, finished: Finished, index: int) -> Choice:
        text, reason, scores, inspected = finished
        parser = self._parser()
        reply = Reply.of([*parser.push(text), *parser.end()])
        calls = [ToolCall(new_call_id(), FunctionCall(given, name)) for name, given in reply.calls]
        message = ChatCompletionMessage(
            reply.content or (None if calls else ""),
            reasoning_content=reply.reasoning or None,
            tool_calls=calls or None,
        )
        reason = reason_of(reason, called=bool(calls))
        return Choice(reason, index, message, chat_logprobs(scores), **inspected)

    def _chunk(self, *choices: ChunkChoice, usage: Usage | None = None) -> ChatCompletionChunk:
        return ChatCompletionChunk(self.id, list(choices), self.created, self._model, usage=usage)


class Deltas:
    """What each text adds to the message of one choice.

    Attributes:
        calls: how many have begun.
        scores: log-probabilities of tokens that no piece has told yet.
    """

    def __init__(self, parser: Parser):
        self.calls = 0
        self.scores: list[ScoredToken] = []
        self._parser = parser

    def push(self, text: str) -> list[ChoiceDelta]:
        """Take the next text."""
        return [self._delta(*piece) for piece in self._parser.push(text)]

    def end(self) -> list[ChoiceDelta]:
        """What was held back."""
        return [self._delta(*piece) for piece in self._parser.end()]

    def logprobs(self) -> ChoiceLogprobs | None:
        """The log-probabilities that no piece has had yet, for the next one."""
        scores, self.scores = self.scores, []
        return chat_logprobs(scores or None)

    def _delta(self, kind: Kind, text: str) -> ChoiceDelta:
        if kind == "content":
            return ChoiceDelta(content=text)
        if kind == "reasoning":
            return ChoiceDelta(reasoning_content=text)
        if kind == "name":
            self.calls += 1
            call = FunctionCallDelta("", text)
            begun = ToolCallDelta(self.calls - 1, call, new_call_id(), "function")
            return ChoiceDelta(tool_calls=[begun])
        more = ToolCallDelta(self.calls - 1, FunctionCallDelta(text))
        return ChoiceDelta(tool_calls=[more])


def reason_of(reason: FinishReason, *, called: bool) -> FinishReason:
    """Why a choice ended, once it is known whether it calls functions."""
    return "tool_calls" if called and reason == "stop" else reason


class CompletionResponses:
    """Responses of a text completion request; a piece has the shape of the whole."""

    def __init__(self, model: str, identity: Identity = None) -> None:
        self.id, self.created = identity or (new_id("cmpl"), now())
        self._model = model

    def opening(self, index: int) -> list[Completion]:
        return []

    def text(self, index: int, text: str, scores: Scores = None) -> list[Completion]:
        logprobs = completion_logprobs(scores)
        return [self._completion([CompletionChoice(None, index, text, logprobs)])]

    def finish(
        self, index: int, reason: FinishReason, inspected: Inspected = NOT_INSPECTED
    ) -> list[Completion]:
        return [self._completion([CompletionChoice(reason, index, "", **inspected)])]

    def usage(self, usage: Usage) -> Completion:
        return self._completion([], usage)

    def whole(self, choices: Sequence[Finished], usage: Usage) -> Completion:
        return self._completion(
            [
                CompletionChoice(
                    one.reason, index, one.text, completion_logprobs(one.scores), **one.inspected
                )
                for index, one in enumerate(choices)
            ],
            usage,
        )

    def _completion(
        self, choices: list[CompletionChoice], usage: Usage | None = None
    ) -> Completion:
        return Completion(self.id, choices, self.created, self._model, usage=usage)
