"""What memory many requests, aborts, lost devices and loads leave, in headless Chromium.

The page (``demo/bench/soak.mjs``) uses webllm_py.js as any page does. What that holds is counted
from outside (``watch.mjs``), and the memory of the browser's processes here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from webllm_py.loading.load import pocket_model

from .headless import run_page

__all__ = ["processes", "soak", "table"]

PROC = Path("/proc")
TYPE = re.compile(r"--type=([\w-]+)")  # Chromium writes its own words, without NULs between
MEGABYTE = 1 << 20
# A measurement of JavaScript's memory waits for seconds else, until garbage is collected anyway.
FLAGS = ("--enable-blink-features=ForceEagerMeasureMemory",)
# Of a sample: its name, its heading, and how many of it are one of what is shown.
COLUMNS = (
    ("buffers", "buffers", 1),
    ("gpu", "GPU MB", MEGABYTE),
    ("wasm", "wasm MB", MEGABYTE),
    ("used", "in use MB", MEGABYTE),
    ("js", "JS MB", MEGABYTE),
    ("renderer", "tab MB", MEGABYTE),
    ("gpu-process", "GPU process MB", MEGABYTE),
)


def soak(
    site: Path,
    counts: Mapping[str, int],
    on_row: Callable[[str], object],
    *,
    chromium: Path | None = None,
) -> dict[str, Any]:
    """Run the page: "results" and "table", and "message" with what went wrong.

    Args:
        on_row: told each row of the table as soon as it is there, the head first.
        counts: of "requests" and, where the usual shares of these are not wanted, of "losses",
            "loads" and "engines".
    """
    samples: list[dict[str, Any]] = []

    def on_sample(browser: int, sample: dict[str, Any]) -> None:
        samples.append(sample | processes(browser))
        on_row(row(samples[-1]))

    on_row(head())
    pocket = pocket_model()
    query = {name: str(count) for name, count in counts.items()} | {"report": ""}
    report = run_page(
        site,
        "bench/soak.html",
        query | {"model": f"/pocket/{pocket.name}"},
        on_step=on_row,
        chromium=chromium,
        mounts={"pocket": pocket.parent},
        isolated=True,
        on_sample=on_sample,
        flags=FLAGS,
    )
    failed = {"message": report["message"]} if "message" in report else {}
    results = {**report, "samples": samples}
    return {"results": results, "table": table(samples, report), **failed}


def processes(browser: int) -> dict[str, int]:
    """Bytes of memory that the processes below a browser's have, by their ``--type=``; nothing
    where there is no /proc."""
    parents, found = {}, {}
    for place in PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError):  # it has ended
            parents[int(place.name)] = parent_of(place)
    for number in below(browser, parents):
        with suppress(OSError):
            words = (PROC / str(number) / "cmdline").read_text(errors="replace")
            kind = match[1] if (match := TYPE.search(words)) else ""
            pages = int((PROC / str(number) / "statm").read_text().split()[1])
            found[kind] = found.get(kind, 0) + pages * os.sysconf("SC_PAGE_SIZE")
    return found


def parent_of(place: Path) -> int:
    """The process that started one; the name before it, in brackets, may hold anything."""
    return int((place / "stat").read_text().rpartition(")")[2].split()[1])


def below(process: int, parents: Mapping[int, int]) -> Iterator[int]:
    """Its children and theirs."""
    for child, parent in parents.items():
        if parent == process:
            yield child
            yield from below(child, parents)


def table(samples: Sequence[Mapping[str, Any]], report: Mapping[str, Any]) -> str:
    """A row a sample."""
    lines = [head(), *map(row, samples)]
    if "adapter" in report:
        lines.append(
            f"{report['whole']} of {report['losses']} answers went on over a lost device; "
            f"{report['adapter']}"
        )
    return "\n".join(lines)


def head() -> str:
    """The table's first line."""
    titles = "".join(f"{title:>{width(title)}}" for _, title, _ in COLUMNS)
    return f"{'':<10}{'count':>6}{'seconds':>9}{titles}"


def row(sample: Mapping[str, Any]) -> str:
    """A sample's line."""
    cells = (cell(sample.get(name), unit, width(title)) for name, title, unit in COLUMNS)
    return f"{sample['phase']:<10}{sample['count']:>6}{sample['seconds']:>9.1f}" + "".join(cells)


def width(title: str) -> int:
    """Of a column."""
    return max(len(title), 7) + 2


def cell(value: float | None, unit: int, width: int) -> str:
    """A count, or bytes in MB; nothing where it was not to be had."""
    if value is None:
        return " " * width
    return f"{value:{width}}" if unit == 1 else f"{value / unit:{width}.2f}"
