"""Tabs of one browser that have an engine each, for tests of what they share."""

from __future__ import annotations

from typing import Any

from page import Page, wait_until

__all__ = ["Tabs"]

START = """
  window.told = null;
  import("/pyodide/webllm_py.js")
    .then(({ createEngine }) => createEngine({ model: null }))
    .then((engine) => ((window.engine = engine), "started"))
    .catch(({ name, message }) => `${name}: ${message}`)
    .then((told) => (window.told = told));
"""
LOAD = """
  window.told = null;
  window.progress = {};
  const options = { tune: false, fetch: { timeout: 120 } };
  engine
    .load(arguments[0], { ...options, onProgress: (told) => (window.progress = told) })
    .then(() => "loaded", ({ name, message }) => `${name}: ${message}`)
    .then((told) => (window.told = told));
"""


class Tabs:
    """Tabs by name. The one that has the focus is the one in front."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.driver, self.url = page, page.driver, url
        self.first = self.driver.current_window_handle
        self.handles: dict[str, str] = {}

    def open(self, name: str) -> None:
        """A new one, in front."""
        self.driver.switch_to.new_window("tab")
        self.handles[name] = self.driver.current_window_handle
        self.driver.get(self.url)

    def to(self, name: str) -> None:
        """Bring one to the front."""
        self.driver.switch_to.window(self.handles[name])
        self.page.cdp("Page.bringToFront")

    def close(self, name: str) -> None:
        """Close one, whatever it does."""
        self.driver.switch_to.window(self.handles.pop(name))
        self.driver.close()

    def close_all(self) -> None:
        """Be in the tab of before again."""
        for name in list(self.handles):
            self.close(name)
        self.driver.switch_to.window(self.first)

    def start(self, *names: str) -> None:
        """New ones, each with an engine, Python's start beside one another's."""
        for name in names:
            self.open(name)
            self.page.js(START)
        for name in names:
            self.to(name)
            self.wait_for("started")

    def load(self, name: str, model: str) -> None:
        """Begin to load a model in one, in front from now on."""
        self.to(name)
        self.page.js(LOAD, model)

    def wait_for(self, what: str) -> None:
        """Until the engine in front has "started", or "loaded" its model."""
        told = wait_until(lambda: self.page.js("return window.told"), 150, f"it has {what}")
        assert told == what

    @property
    def progress(self) -> dict[str, Any]:
        """What the load in front told last, if anything."""
        told: dict[str, Any] = self.page.js("return window.progress")
        return told
