"""The same page in Firefox on lavapipe: another shader compiler (naga), f16 and no subgroups."""

from __future__ import annotations

from pathlib import Path

import pytest
from firefox import report_from_firefox
from served import TestSite


def test_the_page_answers_in_firefox(site: TestSite, tmp_path: Path) -> None:
    page = "?ask=What%20is%20the%20capital%20of%20Japan%3F&report=/firefox"
    report = report_from_firefox(site, page, "/firefox", tmp_path)
    if "NoAdapterError" in report.get("error", {}).get("kinds", ()):
        pytest.skip("Firefox has no adapter: install mesa-vulkan-drivers")
    assert "error" not in report, report["error"]
    assert report["reply"].endswith("Tokyo.")
    assert report["finish"] == "stop"
    assert "f16" in report["info"]["kernels"]
    assert report["info"]["nudged"]
