"""How long the chat page takes from opened to ready, in headless Chromium.

First with an empty profile, then again with what the browser has kept: HTTP cache, compiled
WebAssembly, GPU shaders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from webllm_py.units import duration

from .headless import new_profile, reporting_site, visit

__all__ = ["page_start"]

# What the page reports, in ms since it was opened, and what it is called here.
PHASES = {
    "script": "page's script runs",
    "snapshot": "snapshot unpacked",
    "packages": "packages unpacked",
    "python": "Python up",
    "started": "packages in place",
    "ready": "pocket model ready",
}


def page_start(
    site: Path,
    visits: int,
    on_step: Callable[[str], object],
    *,
    chromium: Path | None = None,
) -> dict[str, Any]:
    """Open the page so many times, each in a new browser with the same profile: "results" and
    "table", or "message" with what went wrong."""
    found: list[dict[str, Any]] = []
    with reporting_site(site) as (address, reports), new_profile() as profile:
        for number in range(1, visits + 1):
            on_step(f"opening the page, {number} of {visits}")
            report = visit(f"{address}?report=/report/done", reports, profile, chromium=chromium)
            if "opened" not in report:
                error = report.get("error", report)
                return {"message": error["message"]}
            found.append(report)
    return {"results": found, "table": table(found)}


def table(visits: list[dict[str, Any]]) -> str:
    """A column a visit."""
    names = ["empty profile", *("again" for _ in visits[1:])]
    lines = [f"{'seconds since the page was opened':<34}" + "".join(f"{n:>14}" for n in names)]
    for phase, label in PHASES.items():
        times = (visit["opened"].get(phase) for visit in visits)
        lines.append(f"{label:<34}" + "".join(map(cell, times)))
    lines += [f"{name}: {model_load(v)}" for name, v in zip(names, visits, strict=True)]
    return "\n".join(lines)


def cell(milliseconds: float | None) -> str:
    """A time in seconds, or nothing where the phase was left out."""
    return f"{'':>14}" if milliseconds is None else f"{milliseconds / 1000:14.2f}"


def model_load(visit: Mapping[str, Any]) -> str:
    """Where the time of the model's load went, and how Python was started."""
    info = visit["info"]
    started = "" if visit["fromSnapshot"] == "true" else " (Python did not start from the snapshot)"
    times = ", ".join(f"{name} {duration(s)}" for name, s in info["load_times"].items())
    return f"the model's {times}; {info['adapter']}{started}"
