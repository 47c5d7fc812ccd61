"""A profile as a text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webllm_py.units import counted, size

__all__ = ["microseconds", "profile_lines"]

LABEL = 36


def profile_lines(profile: Mapping[str, Any]) -> Iterator[str]:
    """One step: its kernels, their sum, what is between them, and the step's wall time."""
    yield (
        f"{title(profile)}: {profile['dispatches']:,} dispatches, "
        f"medians of {counted(profile['runs'], 'run')}{repeated(profile)}"
    )
    yield line("kernel, matrix", "count", "us", "reads", "bandwidth", "time")
    for row in profile["kernels"]:
        yield kernel_line(kernel_name(row), row["count"], row, row["gpu_share"])
    yield kernel_line("all kernels, one by one", profile["dispatches"], profile, 1.0)
    wall, gpu = profile["wall_s"], profile["gpu_s"]
    for label, seconds in (("between kernels", wall - gpu), ("wall time of a step", wall)):
        yield line(label, "", microseconds(seconds), "", "", f"{seconds / gpu:.1%}" if gpu else "")


def title(profile: Mapping[str, Any]) -> str:
    """Which step it is."""
    if profile["step"] == "decode":
        return f"decode step at {counted(profile['context'], 'token')}"
    if profile["step"] == "together":
        at = counted(profile["context"], "token")
        return f"decode step of {profile['answers']} answers at {at}"
    return f"prefill chunk of {counted(profile['tokens'], 'token')}"


def repeated(profile: Mapping[str, Any]) -> str:
    """How often each kernel ran for its time, where the clock is coarse."""
    return f" of {profile['repeats']} times each" if profile["repeats"] > 1 else ""


def kernel_name(row: Mapping[str, Any]) -> str:
    """Kernel, matrix, shape and format."""
    shape = "x".join(map(str, row["shape"]))
    return " ".join(filter(None, (row["kernel"], row["matrix"], shape, row["format"])))


def kernel_line(label: str, count: int, row: Mapping[str, Any], share: float) -> str:
    """The times and bytes of one kernel, or of all."""
    read = (size(row["bytes"]), f"{row['bandwidth_share']:.1%}") if row["bytes"] else ("", "")
    return line(label, str(count), microseconds(row["gpu_s"]), *read, f"{share:.1%}")


def microseconds(seconds: float) -> str:
    """A tenth of a microsecond matters in a short kernel only."""
    return f"{seconds * 1e6:,.{1 if abs(seconds) < 1e-3 else 0}f}"


def line(label: str, count: str, time: str, nbytes: str, bandwidth: str, share: str) -> str:
    """One row of the table."""
    columns = f"{count:>5} {time:>9} {nbytes:>8} {bandwidth:>9} {share:>6}"
    return f"{label:<{LABEL}} {columns}".rstrip()
