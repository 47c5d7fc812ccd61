"""The GPU device of an engine's models: one for all of them, and another when it is lost."""

from __future__ import annotations

import asyncio

from webllm_py.errors import DeviceLostError
from webllm_py.gpu import Device, open_device

__all__ = ["SharedDevice"]


class SharedDevice:
    """A device that is opened when it is first needed.

    Args:
        given: the caller's own, which is neither closed nor opened anew; or a power preference;
            None for the best.
    """

    def __init__(self, given: Device | str | None):
        self._preference = given if isinstance(given, str) else None
        self._owned = given is None or isinstance(given, str)
        self._device: Device | None = None if self._owned else given  # type: ignore[assignment]
        self._opening = asyncio.Lock()

    async def opened(self) -> Device:
        """The device; another one where that was lost.

        Raises:
            DeviceLostError: the caller's own is lost.
            NoAdapterError: there is no GPU to be had.
        """
        async with self._opening:
            self.check()
            if self._device is None or self._device.lost:
                self.close()
                preference = {"power_preference": self._preference} if self._preference else {}
                self._device = await open_device(**preference)  # type: ignore[arg-type]
            return self._device

    def check(self) -> None:
        """Raise DeviceLostError where no other one can be opened."""
        if not self._owned and self._device and self._device.lost:
            raise DeviceLostError(
                "the device that this engine was given is lost; open a new one, and load the model "
                "on it"
            )

    def close(self) -> None:
        """Close it, unless it is the caller's; it can be opened again."""
        if self._owned and self._device:
            self._device.close()
            self._device = None
