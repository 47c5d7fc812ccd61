"""``build.py bench --soak``: memory over many requests in Chromium; here, over a few."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for demo.tools, which no wheel holds

from demo.tools.soak import processes, soak, table  # noqa: E402

DIST = ROOT / "demo" / "dist"
FEW = {"requests": 2, "losses": 1, "loads": 0, "engines": 0}
MORE = {"requests": 60, "losses": 6, "loads": 6, "engines": 2}
MEGABYTE = 1 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc: processes are not measured here")
def test_requests_leave_nothing(long: bool) -> None:
    if not (DIST / "bench" / "soak.html").is_file():
        pytest.fail("demo/dist is missing or old: run `python build.py demo --no-serve` first")
    counts = MORE if long else FEW
    rows: list[str] = []
    report = soak(DIST, counts, rows.append)
    assert "message" not in report, report
    print("", report["table"], sep="\n")
    results, samples = report["results"], report["results"]["samples"]
    assert results["whole"] == results["losses"] == counts["losses"]
    counted = {sample["phase"]: sample["count"] for sample in samples}
    wanted = {"requests": counts["requests"], "aborts": counts["requests"], **counts}
    assert counted == {name: count for name, count in wanted.items() if count}
    assert report["table"].splitlines()[:-1] == rows
    for sample in samples:
        # From outside, and by the engine at first; read-backs and a grammar's tables come to it.
        assert 0 <= sample["gpu"] - results["gpu_memory"] < 8 * MEGABYTE
        assert 0 < sample["used"] < sample["wasm"] < sample["js"] < sample["renderer"]
        assert sample["gpu-process"] > sample["gpu"]
    requests = [sample for sample in samples if sample["phase"] in ("requests", "aborts")]
    first, last = requests[0], requests[-1]
    assert last["buffers"] - first["buffers"] <= 10  # those, once each
    assert last["used"] - first["used"] < 4 * MEGABYTE


def test_the_memory_of_processes() -> None:
    """Of those below one, by what they say they are."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("no /proc: processes are not measured here")
    words = [sys.executable, "-c", "input()", "--type=gpu-process"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as child:
        found = processes(os.getpid())
        assert child.stdin
        child.stdin.close()
        child.terminate()
    assert 0 < found["gpu-process"] < 1000 * MEGABYTE
    assert "renderer" not in found


def test_the_table() -> None:
    """What was not measured is left empty, and a page that ends early has no last line."""
    sample = {"phase": "loads", "count": 50, "seconds": 9.75, "js": None, "buffers": 114}
    sample |= {"gpu": 3 * MEGABYTE, "wasm": 36 * MEGABYTE, "used": MEGABYTE // 4}
    report = {"adapter": "a GPU", "losses": 10, "whole": 9}
    head, row, last = table([sample], report).splitlines()
    assert row.split() == ["loads", "50", "9.8", "114", "3.00", "36.00", "0.25"]
    assert head.index("in use MB") + len("in use MB") == row.index("0.25") + len("0.25")
    assert last == "9 of 10 answers went on over a lost device; a GPU"
    assert table([sample], {"message": "it ended"}).splitlines()[-1] == row
