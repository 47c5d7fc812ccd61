"""The example of a browser extension, unpacked as ``build.py demo`` leaves it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import new_driver
from page import Page, wait_until
from selenium.webdriver.common.keys import Keys

LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


@pytest.fixture
def panel(dist: Path) -> Iterator[Page]:
    """The side panel, in a tab of a browser that has the extension."""
    extension = dist / "examples" / "extension"
    driver = new_driver(
        f"--load-extension={extension}",
        "--disable-features=DisableLoadExtensionCommandLineSwitch",  # as branded Chrome has it
    )
    # Chromium names an unpacked extension by its path.
    name = hashlib.sha256(str(extension).encode()).hexdigest()[:32].translate(LETTERS)
    page = Page(driver)
    page.resize((400, 600))
    driver.get(f"chrome-extension://{name}/panel.html")
    yield page
    driver.quit()


def test_the_side_panel_answers_without_a_server(panel: Page) -> None:
    wait_until(panel.one("#ask").is_enabled, 100, "the model is loaded")
    assert panel.text("#state").startswith("Pocket on ")
    panel.one("#question").send_keys("What is the capital of Japan?", Keys.ENTER)
    answers = "return [...document.querySelectorAll('.assistant')].map((e) => e.textContent)"
    wait_until(lambda: panel.js(answers) == ["The capital of Japan is Tokyo."], 60, "an answer")
    panel.screenshot("extension")
    assert panel.complaints() == []  # its policy lets pass what Pyodide and we need
    sources = panel.js("return performance.getEntriesByType('resource').map(({ name }) => name)")
    assert all(source.startswith("chrome-extension://") for source in sources)


def test_the_manifest_asks_for_nothing_but_the_side_panel(dist: Path) -> None:
    manifest = json.loads((dist / "examples" / "extension" / "manifest.json").read_text())
    assert manifest["permissions"] == ["sidePanel"]
    policy = manifest["content_security_policy"]["extension_pages"]
    assert "'unsafe-eval'" not in policy and "'wasm-unsafe-eval'" in policy
    background = dist / "examples" / "extension" / manifest["background"]["service_worker"]
    assert "openPanelOnActionClick" in background.read_text()
