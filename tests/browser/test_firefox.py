"""The same page in Firefox on lavapipe: another shader compiler (naga), f16 and no subgroups.

No driver is needed: the page asks and reports by its own address (see demo/app/main.mjs).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from served import TestSite

from demo.tools.browsers import find_firefox

PREFERENCES = {
    "dom.webgpu.enabled": True,
    "dom.webgpu.workers.enabled": True,
    "gfx.webgpu.ignore-blocklist": True,
    "browser.shell.checkDefaultBrowser": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
}


def test_the_page_answers_in_firefox(site: TestSite, tmp_path: Path) -> None:
    firefox = find_firefox()
    if firefox is None:
        pytest.skip("no Firefox on this machine: install firefox-esr")
    preferences = [f'user_pref("{name}", {str(value).lower()});' for name, value in
                   PREFERENCES.items()]  # fmt: skip
    (tmp_path / "user.js").write_text("\n".join(preferences))
    url = f"{site.url}?ask=What%20is%20the%20capital%20of%20Japan%3F&report=/firefox"
    command = [firefox, "--headless", "--no-remote", "--profile", tmp_path, url]
    log = tmp_path / "firefox.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | {"HOME": str(tmp_path)}
        )
        try:
            report = site.wait_for_report("/firefox", 240)
        finally:
            process.terminate()
            process.wait(20)
    if "NoAdapterError" in report.get("error", {}).get("kinds", ()):
        pytest.skip("Firefox has no adapter: install mesa-vulkan-drivers")
    assert "error" not in report, report["error"]
    assert report["reply"].endswith("Tokyo.")
    assert report["finish"] == "stop"
    assert "f16" in report["info"]["kernels"]
