"""Log-probabilities in OpenAI's two shapes: of a chat's answer, and of a text completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from webllm_py.api.records import Record

__all__ = [
    "ChoiceLogprobs",
    "CompletionLogprobs",
    "ScoredToken",
    "Scores",
    "TokenLogprobs",
    "TopLogprob",
    "chat_logprobs",
    "completion_logprobs",
]


@dataclass(frozen=True)
class ScoredToken:
    """A token of a text, and how likely it was there.

    Attributes:
        offset: characters of the text before it.
        data: its bytes.
        logprob: natural logarithm of its probability; None for a text's first token, before which
            there is nothing.
        top: bytes and log-probabilities of the most likely tokens in its place, by likelihood.
    """

    offset: int
    data: bytes
    logprob: float | None
    top: Sequence[tuple[bytes, float]] = ()


Scores: TypeAlias = Sequence[ScoredToken] | None
"""Of a text's tokens; None where nobody asked."""


@dataclass(frozen=True, eq=False)
class TopLogprob(Record):
    """One of the most likely tokens."""

    token: str
    bytes: list[int]
    logprob: float


@dataclass(frozen=True, eq=False)
class TokenLogprobs(Record):
    """A token of the answer; ``token`` writes bytes that are no text as ``\\\\xf0\\\\x9f``."""

    token: str
    bytes: list[int]
    logprob: float | None
    top_logprobs: list[TopLogprob]


@dataclass(frozen=True, eq=False)
class ChoiceLogprobs(Record):
    """Log-probabilities of a chat's answer, or of its next piece: of all its tokens, those of
    reasoning and of calls too."""

    content: list[TokenLogprobs]
    refusal: None = None


@dataclass(frozen=True, eq=False)
class CompletionLogprobs(Record):
    """Log-probabilities of a text, or of its next piece: lists of one entry a token."""

    text_offset: list[int]
    token_logprobs: list[float | None]
    tokens: list[str]
    top_logprobs: list[dict[str, float] | None]


def chat_logprobs(tokens: Scores) -> ChoiceLogprobs | None:
    """The shape of a chat's answer."""
    if tokens is None:
        return None
    return ChoiceLogprobs(
        [
            TokenLogprobs(
                written(token.data),
                list(token.data),
                token.logprob,
                [TopLogprob(written(data), list(data), logprob) for data, logprob in token.top],
            )
            for token in tokens
        ]
    )


def completion_logprobs(tokens: Scores) -> CompletionLogprobs | None:
    """The shape of a text completion. Alternatives with the same bytes are one: the likeliest."""
    if tokens is None:
        return None
    return CompletionLogprobs(
        [token.offset for token in tokens],
        [token.logprob for token in tokens],
        [written(token.data, "bytes:") for token in tokens],
        [None if token.logprob is None else top_of(token) for token in tokens],
    )


def top_of(token: ScoredToken) -> dict[str, float]:
    """The likeliest first."""
    top: dict[str, float] = {}
    for data, logprob in token.top:
        top.setdefault(written(data, "bytes:"), logprob)
    return top


def written(data: bytes, sign: str = "") -> str:
    """A token as text, as OpenAI writes those that are no whole characters."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return sign + "".join(f"\\x{byte:02x}" for byte in data)
