"""The GPU device of an engine's models: one for all of them, and another when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from webllm_py.errors import DeviceLostError
from webllm_py.gpu import Device, open_device

__all__ = ["SharedDevice"]

POWER = ("high-performance", "low-power")


class SharedDevice:
    """A device that is opened when it is first needed.

    Args:
        given: the caller's own, which is neither closed nor opened anew; or a power preference;
            None for the best.
        stays: whether it is for one engine after the other: each finds the kernels compiled that
            an earlier one had, and who made this closes it.

    Attributes:
        before_weights: awaited by each load that has found its files to be a model's, before
            anything of it takes memory: it may free the model before.

    Raises:
        ValueError: ``given`` is none of these.
    """

    def __init__(self, given: Device | str | None, *, stays: bool = False):
        if not (given in (None, *POWER) or hasattr(given, "create_buffer")):
            raise ValueError(f"device must be one of {', '.join(POWER)} or a Device, not {given!r}")
        self.before_weights: Callable[[], Awaitable[None]] | None = None
        self._stays = stays
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

    @property
    def preference(self) -> str | None:
        """The power preference that it is opened with."""
        return self._preference

    def leave(self) -> None:
        """An engine is done with it."""
        if not self._stays:
            self.close()

    def close(self) -> None:
        """Close it, unless it is the caller's; it can be opened again."""
        if self._owned and self._device:
            self._device.close()
            self._device = None
