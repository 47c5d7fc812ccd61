"""What ``build.py bench --page-start`` prints of what the page reported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # for demo.tools, which no wheel holds

from demo.tools.page_start import table


def visit(ready: float, *, from_snapshot: bool = True) -> dict[str, Any]:
    opened = {"script": 120.0, "snapshot": 400.0, "packages": 300.0, "started": 900.0}
    info = {"adapter": "a GPU", "load_times": {"header": 0.25, "total": 1.5}}
    return {
        "opened": {**opened, "ready": ready},
        "fromSnapshot": str(from_snapshot).lower(),
        "info": info,
    }


def test_a_column_a_visit_and_what_was_not_reached_left_out() -> None:
    lines = table([visit(3456), visit(1234, from_snapshot=False)]).splitlines()
    rows = {line[:34].strip(): line[34:].split() for line in lines}
    assert rows["page's script runs"] == ["0.12", "0.12"]
    assert rows["Python up"] == []
    assert rows["pocket model ready"] == ["3.46", "1.23"]
    assert lines[-2] == "empty profile: the model's header 250 ms, total 1.50 s; a GPU"
    assert lines[-1].endswith("a GPU (Python did not start from the snapshot)")
