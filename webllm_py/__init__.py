"""Run large language models inside the browser, driven from Python.

::

    import webllm_py

    engine = await webllm_py.load()  # the pocket model that ships; or a path, a URL, a File
    reply = await engine.chat.completions.create(messages=[{"role": "user", "content": "Hello!"}])
    print(reply.choices[0].message.content)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from webllm_py.errors import (
    AdapterError,
    AddressError,
    CancelledLoadError,
    CannotSuspendError,
    ChangedFileError,
    CheckpointError,
    ContextLengthError,
    CorruptCheckpointError,
    DeviceError,
    DeviceLimitError,
    DeviceLostError,
    DocumentError,
    EngineClosedError,
    GPUOutOfMemoryError,
    GrammarError,
    ImageError,
    IntegrityError,
    MissingFileError,
    MissingPackageError,
    NoAdapterError,
    NotAModelError,
    NotANumberError,
    OverloadedError,
    QueueFullError,
    RequestError,
    RequestTimeoutError,
    ServerError,
    SeveralModelsError,
    ShaderError,
    SlowReaderError,
    SourceError,
    StateError,
    StorageFullError,
    TemplateError,
    TokenizerError,
    UnsupportedModelError,
    UnsupportedSchemaError,
    WebLLMError,
)

if TYPE_CHECKING:
    from webllm_py.documents import Documents
    from webllm_py.engine import Engine, load
    from webllm_py.fetch.options import FetchOptions
    from webllm_py.fetch.store.models_store import ModelsStore, models_store
    from webllm_py.routing import Router
    from webllm_py.runtime.weights.progress import LoadProgress
    from webllm_py.serving.client import openai_client

__version__ = "0.1.0"

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
    "Documents",
    "Engine",
    "EngineClosedError",
    "FetchOptions",
    "GPUOutOfMemoryError",
    "GrammarError",
    "ImageError",
    "IntegrityError",
    "LoadProgress",
    "MissingFileError",
    "MissingPackageError",
    "ModelsStore",
    "NoAdapterError",
    "NotAModelError",
    "NotANumberError",
    "OverloadedError",
    "QueueFullError",
    "RequestError",
    "RequestTimeoutError",
    "Router",
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
    "__version__",
    "load",
    "models_store",
    "openai_client",
]

# Imported when first used: the command line answers `--help` and wrong arguments without them.
_LATER = {
    "Documents": "webllm_py.documents",
    "Engine": "webllm_py.engine",
    "Router": "webllm_py.routing",
    "FetchOptions": "webllm_py.fetch.options",
    "LoadProgress": "webllm_py.runtime.weights.progress",
    "ModelsStore": "webllm_py.fetch.store.models_store",
    "load": "webllm_py.engine",
    "load_ipython_extension": "webllm_py.notebook",
    "openai_client": "webllm_py.serving.client",
    "models_store": "webllm_py.fetch.store.models_store",
    "unload_ipython_extension": "webllm_py.notebook",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{_near(name)}")
    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def _near(name: str) -> str:
    """What may be meant; IPython does not guess, nor does Python before 3.12."""
    if name.startswith("_"):  # asked for by tools
        return ""
    from difflib import get_close_matches

    near = get_close_matches(name, __all__, n=1)
    return f". Did you mean {near[0]!r}?" if near else ""


def __dir__() -> list[str]:
    return sorted(__all__)
