"""After its first visit the page needs no network: Python, models, formulas."""

from __future__ import annotations

from pathlib import Path

from page import Page, wait_until
from served import POCKET, TestSite

KEPT = """
    const names = (await caches.keys()).filter((name) => name.startsWith("webllm_py site "));
    if (names.length !== 1) return 0;
    return (await (await caches.open(names[0])).keys()).length;
"""


def test_the_page_and_a_kept_model_without_a_network(tab: Page, dist: Path) -> None:
    """The kept one is a copy of the pocket model, whose kernels are compiled."""
    site = TestSite(dist)
    site.folders["/kept/"] = POCKET.parent
    model = f"{site.url}kept/{POCKET.name}"
    try:
        tab.open(f"{site.url}?model={model}")
        tab.wait_for("ready", seconds=180)
        wait_until(
            lambda: tab.js(f"return (async () => {{{KEPT}}})()") > 30, 60, "the site is kept"
        )
    finally:
        site.close()
    tab.open(site.url)
    tab.wait_for("ready", seconds=180)
    assert "Pocket model" in tab.text("#model-name")
    assert "Tokyo" in tab.ask("What is the capital of Japan?")
    assert tab.js("return import('/temml/temml.mjs').then(({ default: { version } }) => version)")
    tab.screenshot("offline")
    tab.load_address(model)
    wait_until(lambda: tab.state == "loading", 60, "the load begins")
    tab.wait_for("ready", seconds=180)
    assert tab.text("#model-name") == POCKET.name
    tab.driver.get_log("browser")  # of what could not be had
