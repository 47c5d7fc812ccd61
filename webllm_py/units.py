"""Numbers as people read them."""

from __future__ import annotations

__all__ = ["count", "counted", "duration", "significant", "size"]


def size(nbytes: float) -> str:
    """Bytes, in powers of ten: "348 MB", "1.24 GB"."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= 0.9995 * scale:
            return f"{significant(nbytes / scale)} {unit}"
    return f"{nbytes:.0f} B"


def count(number: float) -> str:
    """A number of things: "1.24 billion", "494 million", "260,032"."""
    for unit, scale in (("billion", 1e9), ("million", 1e6)):
        if number >= 0.9995 * scale:
            return f"{significant(number / scale)} {unit}"
    return f"{number:,.0f}"


def counted(number: int, noun: str) -> str:
    """A number of one thing: "1 token", "2 tokens"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(seconds: float) -> str:
    """Seconds: "850 us", "12 ms", "1.24 s"."""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.9995:
        milliseconds = seconds * 1e3
        return f"{milliseconds:.0f} ms" if milliseconds >= 9.95 else f"{milliseconds:.1f} ms"
    return f"{significant(seconds)} s"


def significant(value: float) -> str:
    """Three digits, and more only before the point: "1,240", "24.8", "0.05"."""
    return f"{value:,.{max(0, 3 - len(str(int(value))))}f}"
