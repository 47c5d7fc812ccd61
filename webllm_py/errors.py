"""Every error that webllm_py raises on purpose.

::

    WebLLMError
    ├── SourceError                 bytes could not be had: no such file, HTTP status, cut short
    │   ├── ChangedFileError        a file became another while it was downloaded
    │   └── StorageFullError        no room to keep a model; says how much is missing
    ├── CheckpointError             the model's files are wrong
    │   ├── CorruptCheckpointError  truncated, damaged or self-contradicting
    │   │   └── IntegrityError      not the file that the caller knows the digest of
    │   ├── UnsupportedModelError   an architecture, format or option that this version does not run
    │   ├── NotAModelError          a web page, a text, an adapter: something else
    │   ├── SeveralModelsError      a folder that holds more than one; give one of them
    │   ├── AdapterError            a LoRA adapter of a kind that is not run, or of another model
    │   └── MissingFileError        a file that the model needs is not there
    ├── TokenizerError              a tokenizer definition that cannot be used
    ├── TemplateError               a chat template failed or refused the messages
    ├── GrammarError                a grammar or pattern cannot be used
    │   └── UnsupportedSchemaError  a JSON Schema has a keyword that cannot be honoured; says which
    ├── DeviceError                 the GPU
    │   ├── NoAdapterError          WebGPU is missing, or offers no adapter
    │   ├── DeviceLimitError        the model or kernel needs more than the adapter's limits
    │   ├── GPUOutOfMemoryError     an allocation failed
    │   ├── ShaderError             a kernel did not compile; carries the compiler's lines
    │   └── DeviceLostError         the device went away, and the engine cannot go on by itself
    ├── NotANumberError             the model computes NaN: a damaged file, or a faulty GPU
    ├── RequestError                a request field is wrong; OpenAI-shaped (see ``to_openai``)
    │   ├── ContextLengthError      prompt (and completion) do not fit the context
    │   ├── ImageError              an image cannot be had or decoded, or the model sees none
    │   └── RequestTimeoutError     the answer took longer than the request's ``timeout``
    ├── CancelledLoadError          loading was cancelled by the caller
    ├── EngineClosedError           the engine was unloaded
    ├── DocumentError               a document has no text to ask about, or nothing is found
    ├── StateError                  a conversation's saved state cannot be had, or not be loaded
    ├── MissingPackageError         an optional package is not installed; says which, and how
    ├── CannotSuspendError          ``webllm_py.sync`` where the browser cannot make Python wait
    └── ServerError                 serving
        ├── AddressError            the server cannot listen at its address
        ├── OverloadedError         requests under way take all the memory; try again later
        ├── QueueFullError          more requests wait than may; try again later
        └── SlowReaderError         a stream was ended because its client did not read it

Messages say what was wrong and what to do about it.
"""

from __future__ import annotations

from typing import Any

from webllm_py.tracebacks import shortened

__all__ = [
    "AdapterError",
    "AddressError",
    "CancelledLoadError",
    "CannotSuspendError",
    "ChangedFileError",
    "CheckpointError",
    "ContextLengthError",
    "CorruptCheckpointError",
    "DeviceError",
    "DeviceLimitError",
    "DeviceLostError",
    "DocumentError",
    "EngineClosedError",
    "GPUOutOfMemoryError",
    "GrammarError",
    "ImageError",
    "IntegrityError",
    "MissingFileError",
    "MissingPackageError",
    "NoAdapterError",
    "NotAModelError",
    "NotANumberError",
    "OverloadedError",
    "QueueFullError",
    "RequestError",
    "RequestTimeoutError",
    "ServerError",
    "SeveralModelsError",
    "ShaderError",
    "SlowReaderError",
    "SourceError",
    "StateError",
    "StorageFullError",
    "TemplateError",
    "TokenizerError",
    "UnsupportedModelError",
    "UnsupportedSchemaError",
    "WebLLMError",
]


class WebLLMError(Exception):
    """Base of every error that this package raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows; IPython asks for it by this name."""
        return shortened(self)


class SourceError(WebLLMError):
    """Bytes of a file could not be had.

    Attributes:
        status: the HTTP status that the server answered with, where that is the reason.
        transient: whether the same request may succeed later: a cut, a stall, a busy server.
        retry_after: seconds that the server asks to wait before.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        transient: bool = False,
        retry_after: float | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.transient = transient
        self.retry_after = retry_after


class ChangedFileError(SourceError):
    """A file became another one on its server while it was downloaded."""


class StorageFullError(SourceError):
    """There is no room to keep a model.

    Attributes:
        needed: bytes that are to be kept.
        free: bytes that there is room for.
    """

    def __init__(self, message: str, *, needed: int, free: int):
        super().__init__(message)
        self.needed = needed
        self.free = free


class CheckpointError(WebLLMError):
    """The model's files are wrong."""


class CorruptCheckpointError(CheckpointError):
    """A checkpoint is truncated, damaged or contradicts itself."""


class IntegrityError(CorruptCheckpointError):
    """A file is another than the one that ``FetchOptions(integrity=...)`` says.

    Attributes:
        url: the file's address or path.
        expected: its digest, as Subresource Integrity writes it.
        actual: the one that the file has.
    """

    def __init__(self, url: str, expected: str, actual: str):
        super().__init__(
            f"{url} is not the file that was meant: {expected} was expected and {actual} came. It "
            "was changed or damaged; or what is expected is out of date."
        )
        self.url = url
        self.expected = expected
        self.actual = actual


class UnsupportedModelError(CheckpointError):
    """A checkpoint uses an architecture, format or option that this version does not run."""


class NotAModelError(CheckpointError):
    """What was given is something else than a model."""


class SeveralModelsError(CheckpointError):
    """A folder holds more than one model."""


class AdapterError(CheckpointError):
    """A LoRA adapter is damaged, of a kind that this version does not run, or of another model."""


class MissingFileError(CheckpointError):
    """A file that the model needs is not in its folder."""


class TokenizerError(WebLLMError):
    """A tokenizer definition cannot be used."""


class TemplateError(WebLLMError):
    """A chat template failed, or refused the messages."""


class GrammarError(WebLLMError):
    """A grammar, a regular expression or a schema cannot be used."""


class UnsupportedSchemaError(GrammarError):
    """A JSON Schema asks for what a grammar cannot enforce.

    Attributes:
        keyword: the keyword that cannot be honoured.
        path: where it stands, as a JSON pointer such as ``#/properties/name``.
    """

    def __init__(self, message: str, *, keyword: str, path: str):
        super().__init__(f"{keyword!r} at {path}: {message}")
        self.keyword = keyword
        self.path = path


class DeviceError(WebLLMError):
    """Something about the GPU.

    Attributes:
        context_length: where there was no room, what ``load(context_length=...)`` had room for;
            None if that is not known, or nothing.
    """

    context_length: int | None = None

    def offer(self, context_length: int) -> None:
        """Add to the message that a context of ``context_length`` tokens would fit."""
        self.context_length = context_length
        self.args = (f"{self}: load(context_length={context_length}) would fit",)


class NoAdapterError(DeviceError):
    """WebGPU is missing, or offers no adapter."""


class DeviceLimitError(DeviceError):
    """The model or a kernel needs more than the adapter's limits."""


class GPUOutOfMemoryError(DeviceError):
    """An allocation on the GPU failed.

    Attributes:
        nbytes: of allocations that failed, where the device counts them as there.
    """

    nbytes: int = 0


class ShaderError(DeviceError):
    """A kernel did not compile; the message has the compiler's lines and the source around."""


class DeviceLostError(DeviceError):
    """The device went away, and the model could not be loaded again, or not on a device that was
    given to ``load``, or that was of no use. ``Engine.recover()`` tries it once more."""


class NotANumberError(WebLLMError):
    """The model's logits are no numbers (NaN), so that no token can be drawn: its file is damaged,
    or the GPU or its driver computes it wrongly."""

    def __init__(self) -> None:
        super().__init__(
            "the model's logits are no numbers (NaN): its file is damaged, or this GPU or its "
            "driver computes it wrongly; try another file of the model, or another GPU or browser"
        )


class RequestError(WebLLMError):
    """A request field is wrong.

    Attributes:
        param: name of the field, as in the request.
        code: short machine-readable reason.
    """

    type = "invalid_request_error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.param = param
        self.code = code

    def to_openai(self) -> dict[str, Any]:
        """The error body that OpenAI's HTTP interface sends."""
        return {
            "error": {
                "message": str(self),
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }


class ContextLengthError(RequestError):
    """The prompt does not fit the context."""

    def __init__(self, message: str, *, param: str = "messages"):
        super().__init__(message, param=param, code="context_length_exceeded")


class ImageError(RequestError):
    """An image of a request cannot be had or decoded, or the model does not see."""

    def __init__(self, message: str, *, param: str):
        super().__init__(message, param=param, code="invalid_image")


class RequestTimeoutError(RequestError):
    """The answer was not there in time; what there was of it went with a stream's pieces only."""

    type = "timeout_error"

    def __init__(self, seconds: float):
        super().__init__(
            f"the answer took longer than the {seconds:g} s of 'timeout'; allow more, ask for "
            "fewer tokens, or stream it and keep what comes",
            param="timeout",
            code="timeout",
        )


class CancelledLoadError(WebLLMError):
    """Loading was cancelled by the caller."""


class EngineClosedError(WebLLMError):
    """The engine was unloaded."""


class DocumentError(WebLLMError):
    """A document has no text that can be read, is not there, or none answers a question."""


class StateError(WebLLMError):
    """A conversation's state cannot be saved or loaded: there is none, it is damaged, or another
    model's."""


class MissingPackageError(WebLLMError):
    """An optional package is not installed."""


class CannotSuspendError(WebLLMError):
    """Python cannot wait here without an ``await``."""


class ServerError(WebLLMError):
    """Something about serving."""


class AddressError(ServerError):
    """The server cannot listen at its address."""


class OverloadedError(ServerError):
    """The requests under way take all the memory that they may; a later one may find room."""


class QueueFullError(ServerError):
    """More requests wait than may; a later one may find room."""


class SlowReaderError(ServerError):
    """A stream was ended because its client did not read it."""
