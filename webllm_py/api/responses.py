"""Responses in OpenAI's shapes: its field names, its types, its values of ``object``.

Extensions: ``usage.timings`` and, if asked for, WebLLM's ``usage.extra``, the finish reason
``abort`` for a generation that was interrupted (WebLLM's too), ``reasoning_content``, and where a
request returns hidden states or attentions, these and their ``token_ids`` (``Inspected``) in each
choice that has ended.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from webllm_py.api.inert import Inert
from webllm_py.api.inspected import Inspected
from webllm_py.api.logprobs import ChoiceLogprobs, CompletionLogprobs
from webllm_py.api.records import OPTIONAL, Record
from webllm_py.api.timings import Extra, Timings

__all__ = [
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "Choice",
    "ChoiceDelta",
    "ChunkChoice",
    "Completion",
    "CompletionChoice",
    "FinishReason",
    "FunctionCall",
    "FunctionCallDelta",
    "PromptTokensDetails",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "new_call_id",
    "new_id",
    "now",
]

# stop: an end-of-text token or a stop string. length: max_tokens, or the context is full.
# tool_calls: the model calls functions. abort: interrupted by the caller.
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "abort"]


def new_id(prefix: str) -> str:
    """A fresh response id: ``chatcmpl-...`` or ``cmpl-...``."""
    return f"{prefix}-{uuid.uuid4().hex}"


def new_call_id() -> str:
    """A fresh id of a call: nine letters and digits, which every model's template takes."""
    return uuid.uuid4().hex[:9]


def now() -> int:
    """The time as ``created`` has it: whole seconds since 1970."""
    return int(time.time())


@dataclass(frozen=True, eq=False)
class PromptTokensDetails(Record):
    """``cached_tokens``: prompt tokens found in the KV cache, so not computed again."""

    cached_tokens: int = 0


@dataclass(frozen=True, eq=False)
class Usage(Record):
    """Tokens of a request: the prompt counted once, the completions of all choices together."""

    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | None = field(default=None, metadata=OPTIONAL)
    timings: Timings | None = field(default=None, metadata=OPTIONAL)
    extra: Extra | None = field(default=None, metadata=OPTIONAL)

    @classmethod
    def count(
        cls,
        prompt_tokens: int,
        completion_tokens: int,
        *,
        cached_tokens: int = 0,
        timings: Timings | None = None,
        extra: Extra | None = None,
    ) -> Usage:
        """A usage from its counts; ``total_tokens`` is their sum."""
        return cls(
            completion_tokens=completion_tokens,
            prompt_tokens=prompt_tokens,
            total_tokens=prompt_tokens + completion_tokens,
            prompt_tokens_details=PromptTokensDetails(cached_tokens),
            timings=timings,
            extra=extra,
        )


@dataclass(frozen=True, eq=False)
class FunctionCall(Record):
    """The function that a model calls; ``arguments`` is JSON text as the model wrote it."""

    arguments: str
    name: str


@dataclass(frozen=True, eq=False)
class ToolCall(Record):
    """One call of a tool."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


@dataclass(frozen=True, eq=False)
class FunctionCallDelta(Record):
    """What a piece of a stream adds to a call: first its name, then arguments."""

    arguments: str | None = field(default=None, metadata=OPTIONAL)
    name: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, eq=False)
class ToolCallDelta(Record):
    """A piece of the call with this index; the first one has its id and the function's name."""

    index: int
    function: FunctionCallDelta
    id: str | None = field(default=None, metadata=OPTIONAL)
    type: Literal["function"] | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, eq=False)
class ChatCompletionMessage(Record):
    """What the model said, and, as DeepSeek and vLLM have it, what it thought before."""

    content: str | None
    refusal: str | None = None
    role: Literal["assistant"] = "assistant"
    reasoning_content: str | None = field(default=None, metadata=OPTIONAL)
    tool_calls: list[ToolCall] | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, eq=False)
class Choice(Inspected):
    """One of the ``n`` answers."""

    finish_reason: FinishReason
    index: int
    message: ChatCompletionMessage
    logprobs: ChoiceLogprobs | None = None


@dataclass(frozen=True, eq=False)
class ChatCompletion(Record):
    """The answer to a chat request."""

    id: str
    choices: list[Choice]
    created: int
    model: str
    object: Literal["chat.completion"] = "chat.completion"
    system_fingerprint: str | None = field(default=None, metadata=OPTIONAL)
    usage: Usage | None = field(default=None, metadata=OPTIONAL)

    def _repr_markdown_(self) -> str:
        return self._markdown(Inert)

    def _markdown(self, shown: Callable[[], Callable[[str], str]]) -> str:
        """All of it, each part as what ``shown`` makes for a page shows it: ``lambda: str`` as it
        is, where nothing renders it."""
        page = shown()
        answers = [_message_markdown(choice.message, page, shown()) for choice in self.choices]
        return _markdown(answers, [choice.finish_reason for choice in self.choices], self.usage)


@dataclass(frozen=True, eq=False)
class ChoiceDelta(Record):
    """What a piece of a stream adds to the message."""

    content: str | None = field(default=None, metadata=OPTIONAL)
    refusal: str | None = field(default=None, metadata=OPTIONAL)
    role: Literal["assistant"] | None = field(default=None, metadata=OPTIONAL)
    reasoning_content: str | None = field(default=None, metadata=OPTIONAL)
    tool_calls: list[ToolCallDelta] | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, eq=False)
class ChunkChoice(Inspected):
    """The piece of one of the ``n`` answers."""

    delta: ChoiceDelta
    index: int
    finish_reason: FinishReason | None = None
    logprobs: ChoiceLogprobs | None = None


@dataclass(frozen=True, eq=False)
class ChatCompletionChunk(Record):
    """A piece of a streamed chat answer."""

    id: str
    choices: list[ChunkChoice]
    created: int
    model: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    system_fingerprint: str | None = field(default=None, metadata=OPTIONAL)
    usage: Usage | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, eq=False)
class CompletionChoice(Inspected):
    """One of the ``n`` texts, or its next piece; a piece that is not the last has no reason."""

    finish_reason: FinishReason | None
    index: int
    text: str
    logprobs: CompletionLogprobs | None = None


@dataclass(frozen=True, eq=False)
class Completion(Record):
    """The answer to a text completion request, whole or a piece of a stream."""

    id: str
    choices: list[CompletionChoice]
    created: int
    model: str
    object: Literal["text_completion"] = "text_completion"
    system_fingerprint: str | None = field(default=None, metadata=OPTIONAL)
    usage: Usage | None = field(default=None, metadata=OPTIONAL)

    def _repr_markdown_(self) -> str:
        texts = [*map(Inert(), (choice.text for choice in self.choices))]
        return _markdown(texts, [choice.finish_reason for choice in self.choices], self.usage)


def _message_markdown(
    message: ChatCompletionMessage, shown: Callable[[str], str], within: Callable[[str], str]
) -> str:
    """``within`` shows what is quoted: code that begins there ends with the quote."""
    thought = within(message.reasoning_content or "").rstrip("\n")
    calls = [
        f"```json\n{json.dumps(call.to_dict(), ensure_ascii=False, indent=2)}\n```"
        for call in message.tool_calls or []
    ]
    quoted = "\n".join(f"> {line}".rstrip() for line in thought.split("\n")) if thought else ""
    parts = [quoted, *map(shown, filter(None, [message.content, *calls]))]
    return "\n\n".join(filter(None, parts)).strip("\n")


def _markdown(answers: list[str], reasons: list[FinishReason | None], usage: Usage | None) -> str:
    """The text as the model meant it, and a line that says how it ended and how fast it was."""
    if len(answers) > 1:
        answers = [f"**Choice {i}**\n\n{answer}" for i, answer in enumerate(answers)]
    footer = ", ".join(dict.fromkeys(reason for reason in reasons if reason))
    if usage is not None:
        footer += f" · {usage.completion_tokens} tokens"
        if usage.timings is not None and usage.timings.decode_tokens_per_s is not None:
            footer += f" · {usage.timings.decode_tokens_per_s:.1f} tokens/s"
    return "\n\n".join([*answers, f"<sub>{footer}</sub>"] if footer else answers)
