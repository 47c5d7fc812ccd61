"""OpenAI's surface: requests checked and typed, responses built, stop strings, streams.

Knows no model, no tokenizer and no GPU; the engine calls it.
"""

from webllm_py.api.logprobs import ScoredToken, Scores
from webllm_py.api.requests import (
    ChatRequest,
    CompletionRequest,
    GenerationRequest,
    parse_chat_request,
    parse_completion_request,
)
from webllm_py.api.responses import (
    ChatCompletion,
    ChatCompletionChunk,
    Completion,
    FinishReason,
    Timings,
    Usage,
)
from webllm_py.api.sampling import sampling_defaults
from webllm_py.api.stops import StopFilter
from webllm_py.api.stream import ChatResponses, CompletionResponses, Finished, Responses

__all__ = [
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatRequest",
    "ChatResponses",
    "Completion",
    "CompletionRequest",
    "CompletionResponses",
    "FinishReason",
    "Finished",
    "GenerationRequest",
    "Responses",
    "ScoredToken",
    "Scores",
    "StopFilter",
    "Timings",
    "Usage",
    "parse_chat_request",
    "parse_completion_request",
    "sampling_defaults",
]
