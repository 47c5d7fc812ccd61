"""wgpu-py's errors as this package's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import wgpu

from webllm_py.errors import DeviceError, DeviceLostError, GPUOutOfMemoryError

__all__ = ["ErrorTranslator"]


class ErrorTranslator:
    """Translates the errors of one device, and remembers its loss.

    Args:
        allocated: tells how many bytes the device's buffers have.

    Attributes:
        lost: why the device is gone; None while it works.
    """

    def __init__(self, allocated: Callable[[], int]):
        self.lost: DeviceLostError | None = None
        self._allocated = allocated

    def raise_if_lost(self) -> None:
        """Raise why the device is gone, if it is."""
        if self.lost:
            raise self.lost

    @contextmanager
    def translating(self, what: str) -> Iterator[None]:
        """Raise wgpu's errors as ``DeviceError`` and its subclasses.

        Args:
            what: what is done inside, for messages; it needed the memory if there is none.
        """
        self.raise_if_lost()
        try:
            yield
        except (wgpu.GPUError, MemoryError) as error:
            raise self._translated(error, what) from error

    def _translated(self, error: Exception, what: str) -> DeviceError:
        # wgpu-py 0.32 may raise a validation error whose text alone tells that the device is lost
        # or memory is short.
        message = str(error)
        if "is lost" in message:
            self.lost = DeviceLostError(
                "the GPU device was lost. Engine.recover() starts again; if it happens often, use "
                "a smaller model or a smaller context_length"
            )
            return self.lost
        out_of_memory = isinstance(error, wgpu.GPUOutOfMemoryError | MemoryError)
        if out_of_memory or "Not enough memory" in message:
            return GPUOutOfMemoryError(
                f"no GPU memory for {what} ({self._allocated() >> 20} MiB are in use); use a "
                "smaller model or a smaller context_length"
            )
        return DeviceError(f"{what}: {message}")
