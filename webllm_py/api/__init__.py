"""OpenAI's surface: requests checked and typed, responses built, stop strings, streams.

Knows no model, no tokenizer and no GPU; the engine calls it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from webllm_py.api.adapters import AdapterChoice, adapter_choice
from webllm_py.api.logprobs import ScoredToken, Scores
from webllm_py.api.parsing import parse_chat_request, parse_completion_request
from webllm_py.api.requests import ChatRequest, CompletionRequest, GenerationRequest
from webllm_py.api.responses import (
    ChatCompletion,
    ChatCompletionChunk,
    Completion,
    FinishReason,
    Usage,
)
from webllm_py.api.sampling import sampling_defaults
from webllm_py.api.stops import StopFilter
from webllm_py.api.stream import ChatResponses, CompletionResponses, Finished, Responses
from webllm_py.api.timings import Extra, Timings

if TYPE_CHECKING:
    from webllm_py.api.embeddings import (
        CreateEmbeddingResponse,
        Embedding,
        EmbeddingRequest,
        parse_embedding_request,
    )

__all__ = [
    "AdapterChoice",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatRequest",
    "ChatResponses",
    "Completion",
    "CompletionRequest",
    "CompletionResponses",
    "CreateEmbeddingResponse",
    "Embedding",
    "EmbeddingRequest",
    "Extra",
    "FinishReason",
    "Finished",
    "GenerationRequest",
    "Responses",
    "ScoredToken",
    "Scores",
    "StopFilter",
    "Timings",
    "Usage",
    "adapter_choice",
    "parse_chat_request",
    "parse_completion_request",
    "parse_embedding_request",
    "sampling_defaults",
]

# Not before they are needed: a page starts Python from a snapshot, which they need not be in.
_EMBEDDINGS = (
    "CreateEmbeddingResponse",
    "Embedding",
    "EmbeddingRequest",
    "parse_embedding_request",
)


def __getattr__(name: str) -> Any:
    if name not in _EMBEDDINGS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module("webllm_py.api.embeddings"), name)
    return value
