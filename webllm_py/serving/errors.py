"""Errors as OpenAI's HTTP interface sends them: a status, and an object that says what is wrong."""

from __future__ import annotations

from typing import Any

from webllm_py.errors import (
    DeviceLostError,
    EngineClosedError,
    GPUOutOfMemoryError,
    GrammarError,
    OverloadedError,
    QueueFullError,
    RequestError,
    RequestTimeoutError,
    SlowReaderError,
    TemplateError,
    TokenizerError,
    WebLLMError,
)
from webllm_py.serving.messages import Reply

__all__ = ["GONE", "HTTPError", "error_body", "error_reply"]

RETRY_SECONDS = 1
GONE = 499  # nginx's status for a client that went away before its answer was there


class HTTPError(RequestError):
    """A request that no endpoint takes.

    Attributes:
        status: the HTTP status.
        headers: of the reply.
    """

    def __init__(self, status: int, message: str, *, code: str | None = None, **headers: str):
        super().__init__(message, code=code)
        self.status = status
        self.headers = headers


def status_of(error: Exception) -> int:
    """The HTTP status that an error has."""
    match error:
        case HTTPError():
            return error.status
        case RequestError(code="interrupted"):
            return 503
        case RequestError(code="model_not_found"):
            return 404
        case RequestTimeoutError():
            return 408
        case RequestError() | TemplateError() | GrammarError() | TokenizerError():
            return 400
        case QueueFullError():
            return 429
        case SlowReaderError():
            return GONE
        case EngineClosedError() | DeviceLostError() | GPUOutOfMemoryError() | OverloadedError():
            return 503
    return 500


def error_body(error: Exception) -> dict[str, Any]:
    """The object. Of an error that nobody foresaw, only that there was one."""
    if isinstance(error, RequestError):
        return error.to_openai()
    kind, code = "server_error", None
    match status_of(error):
        case 400:
            kind = RequestError.type
        case 429:
            kind, code = "rate_limit_error", "rate_limit_exceeded"
    known = isinstance(error, WebLLMError)
    message = str(error) if known else "something went wrong in the server; its log says what"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_reply(error: Exception) -> Reply:
    """The reply to a request that failed before any of its answer was sent."""
    status = status_of(error)
    headers = dict(error.headers) if isinstance(error, HTTPError) else {}
    if status in (429, 503):
        headers["retry-after"] = str(RETRY_SECONDS)
    return Reply.json(error_body(error), status, **headers)
