"""Run large language models inside the browser, driven from Python.

::

    import webllm_py

    engine = await webllm_py.load()  # the pocket model that ships; or a path, a URL, a File
    reply = await engine.chat.completions.create(messages=[{"role": "user", "content": "Hello!"}])
    print(reply.choices[0].message.content)
"""

from webllm_py.engine import Engine, load
from webllm_py.errors import (
    CancelledLoadError,
    CheckpointError,
    ContextLengthError,
    CorruptCheckpointError,
    DeviceError,
    DeviceLimitError,
    DeviceLostError,
    EngineClosedError,
    GPUOutOfMemoryError,
    MissingFileError,
    NoAdapterError,
    RequestError,
    ShaderError,
    SourceError,
    TemplateError,
    TokenizerError,
    UnsupportedModelError,
    WebLLMError,
)
from webllm_py.runtime.progress import LoadProgress

__version__ = "0.1.0"

__all__ = [
    "CancelledLoadError",
    "CheckpointError",
    "ContextLengthError",
    "CorruptCheckpointError",
    "DeviceError",
    "DeviceLimitError",
    "DeviceLostError",
    "Engine",
    "EngineClosedError",
    "GPUOutOfMemoryError",
    "LoadProgress",
    "MissingFileError",
    "NoAdapterError",
    "RequestError",
    "ShaderError",
    "SourceError",
    "TemplateError",
    "TokenizerError",
    "UnsupportedModelError",
    "WebLLMError",
    "__version__",
    "load",
]
