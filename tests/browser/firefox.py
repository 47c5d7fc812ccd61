"""Firefox for the tests. It needs no driver: a page asks by its own address and reports by POST."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

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


def report_from_firefox(site: TestSite, page: str, path: str, folder: Path) -> dict[str, Any]:
    """What a page of the site POSTs to ``path``; Firefox keeps its profile in ``folder``.

    Skips the test where there is no Firefox.
    """
    firefox = find_firefox()
    if firefox is None:
        pytest.skip("no Firefox on this machine: install firefox-esr")
    preferences = [f'user_pref("{name}", {str(value).lower()});' for name, value in
                   PREFERENCES.items()]  # fmt: skip
    (folder / "user.js").write_text("\n".join(preferences))
    command = [firefox, "--headless", "--no-remote", "--profile", folder, f"{site.url}{page}"]
    with (folder / "firefox.log").open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=os.environ | {"HOME": str(folder)}
        )
        try:
            report: dict[str, Any] = site.wait_for_report(path, 240)
        finally:
            process.terminate()
            process.wait(20)
    return report
