"""How the GPU's timestamps around compute passes are read, on any device."""

from __future__ import annotations

from array import array

__all__ = ["durations"]


def durations(data: bytes) -> list[int]:
    """Ticks that each pass took.

    Args:
        data: two uint64 a pass, the ticks at its beginning and at its end.

    Returns:
        Their differences; 0 where a device's clock went backwards.
    """
    ticks = array("Q", data)
    return [max(0, end - begin) for begin, end in zip(ticks[::2], ticks[1::2], strict=True)]
