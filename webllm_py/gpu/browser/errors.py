"""Errors that replay.js throws, as this package's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyodide.ffi import JsException

from webllm_py.errors import (
    DeviceError,
    DeviceLostError,
    GPUOutOfMemoryError,
    NoAdapterError,
    ShaderError,
    WebLLMError,
)

__all__ = ["lost_error", "named_errors", "translated"]

WHAT_TO_DO = (
    "Use Chrome or Edge 113 or newer (Android: 121), Safari 26, or Firefox 141 on Windows and 145 "
    "on macOS, on a page served over https or from localhost; on Linux start Chrome with "
    "--enable-unsafe-webgpu --enable-features=Vulkan, and see chrome://gpu."
)


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn errors that JavaScript threw into this package's own."""
    try:
        yield
    except JsException as error:
        raise translated(error) from error


def lost_error(reason: str) -> DeviceLostError:
    """The error of a device that is gone."""
    return DeviceLostError(
        f"the GPU device was lost ({reason}). Engine.recover() starts again; if it happens often, "
        "use a smaller model or a smaller context_length"
    )


def translated(error: Any) -> WebLLMError:
    """This package's error for one of replay.js."""
    message = str(error.message)
    match error.name:
        case "NoAdapter":
            return NoAdapterError(f"{message}. {WHAT_TO_DO}")
        case "ShaderError":
            return ShaderError(message)
        case "DeviceLost":
            return lost_error(message)
        case "OutOfMemory":
            memory = GPUOutOfMemoryError(
                f"no GPU memory for {message}; close other tabs that use the GPU, or use a smaller "
                "model or a smaller context_length"
            )
            memory.nbytes = int(getattr(error, "nbytes", 0))
            return memory
        case _:
            return DeviceError(f"{error.name}: {message}")
