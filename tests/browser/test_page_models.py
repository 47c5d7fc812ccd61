"""Models that the browser keeps: listed in the dialog, loaded again, removed; with a copy of the
pocket model, whose kernels are compiled."""

from __future__ import annotations

import shutil
from pathlib import Path
from socket import socket

from page import PHONE, Page, wait_until
from selenium.webdriver.common.keys import Keys
from served import POCKET, TestSite

NAMES = "return [...document.querySelectorAll('#kept-list .name')].map((e) => e.textContent)"


def kept(page: Page) -> list[str]:
    """The names in the dialog, which is opened."""
    page.one("#model-button").click()
    return list(page.js(NAMES))


def test_why_it_takes_so_long_is_said(pocket: Page) -> None:
    """A server that cannot be reached is asked several times."""
    page = pocket
    with socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        page.load_address(f"http://127.0.0.1:{taken.getsockname()[1]}/none.gguf")
        said = "Trying again: http://127.0.0.1:"
        wait_until(lambda: page.text("#loading-text").startswith(said), 60, "it says so")
        page.one("#cancel").click()
    wait_until(lambda: page.state == "ready", 60, "the load ends, and the model before goes on")
    page.complaints()


def press(page: Page, name: str) -> None:
    """Press a button of the list, which is made anew whenever the dialog opens."""
    press = (
        "const b = document.querySelector(`[aria-label='${arguments[0]}']`); b?.click(); return !b"
    )
    wait_until(lambda: not page.js(press, name), 60, f"{name!r} is there")


def test_a_model_that_was_loaded_is_kept_listed_and_removed(
    pocket: Page, site: TestSite, tmp_path: Path
) -> None:
    page = pocket
    shutil.copy(POCKET, tmp_path / "made.gguf")
    site.folders["/kept/"] = tmp_path
    assert "made.gguf" not in kept(page)
    page.type(Keys.ESCAPE)
    page.load_address(f"{site.url}kept/made.gguf")
    page.wait_for("ready", seconds=100)
    kept(page)
    wait_until(lambda: page.js(NAMES)[:1] == ["made.gguf"], 60, "it is listed first")
    assert page.text("#kept-list .facts").endswith("B")
    assert "There is room for" in page.text("#kept-room")
    page.screenshot("models-kept")
    page.resize(PHONE, "dark")
    page.js("document.querySelector('#larger').open = true")
    page.screenshot("models-kept-phone")
    page.js("document.querySelector('#larger').open = false")

    press(page, "Remove made.gguf")
    wait_until(lambda: "is in use" in page.text("#kept-room"), 60, "it is in use")
    (tmp_path / "made.gguf").unlink()  # its server has it no more
    press(page, "Load made.gguf")
    wait_until(lambda: page.state != "ready", 60, "it is loaded again")
    page.wait_for("ready", seconds=100)
    assert page.text("#model-name") == "made.gguf"
    page.one("#model-button").click()
    page.one("#pick-pocket").click()
    wait_until(lambda: page.state != "ready", 60, "the other one is loaded")
    page.wait_for("ready", seconds=100)
    kept(page)
    press(page, "Remove made.gguf")
    wait_until(lambda: page.text("#announcer") == "made.gguf was removed.", 60, "it is removed")
    assert "made.gguf" not in page.js(NAMES)
    assert page.js("return Boolean(document.activeElement.closest('#model-dialog'))")
    page.type(Keys.ESCAPE)
