"""Two tabs of a site that both answer its requests, and a third one that asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from page import Page, wait_until
from served import TestSite

from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

SERVE = """
  window.told = null;
  (async () => {
    const { createEngine } = await import("/pyodide/webllm_py.js");
    window.engine = await createEngine({ model: arguments[0] });
    await engine.serve("/service.js");
    window.told = "serves";
  })().catch((error) => (window.told = `${error.name}: ${error.message}`));
"""
MODEL = """
  const done = arguments[arguments.length - 1];
  fetch("/v1/models").then((reply) => reply.json()).then(({ data }) => done(data[0].id));
"""
ASK = """
  window.reply = null;
  const asked = { prompt: "Once", max_tokens: 80, ignore_eos: true };
  fetch("/v1/completions", { method: "POST", body: JSON.stringify(asked) })
    .then((reply) => reply.json())
    .then((reply) => (window.reply = reply));
"""
STREAM = """
  const done = arguments[arguments.length - 1];
  const asked = { prompt: "Once", max_tokens: 8, stream: true };
  fetch("/v1/completions", { method: "POST", body: JSON.stringify(asked) }).then(async (reply) => {
    await reply.text();
    done(reply.headers.get("x-stream-id"));
  });
"""


class Tabs:
    """Tabs of one browser, by name."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.driver, self.url = page, page.driver, url
        self.first = self.driver.current_window_handle
        self.handles: dict[str, str] = {}

    def open(self, name: str) -> None:
        """A new one, which has the focus."""
        self.driver.switch_to.new_window("tab")
        self.handles[name] = self.driver.current_window_handle
        self.driver.get(self.url)

    def to(self, name: str) -> None:
        """Bring one to the front."""
        self.driver.switch_to.window(self.handles[name])
        self.page.cdp("Page.bringToFront")

    def close(self, name: str) -> None:
        self.driver.switch_to.window(self.handles.pop(name))
        self.driver.close()

    def serve(self, name: str, model: str | None) -> None:
        self.open(name)
        self.page.js(SERVE, model)
        wait_until(lambda: self.page.js("return window.told"), 150, f"{name} serves")
        assert self.page.js("return window.told") == "serves"

    def answers(self) -> str:
        """Whose model answers the tab in front."""
        return str(self.driver.execute_async_script(MODEL))


@pytest.fixture
def tabs(page: Page, site: TestSite, tmp_path: Path) -> Iterator[Tabs]:
    """One whose model is named "one", one with "two", and one that asks."""
    sizes = {"layers": 1, "hidden": 64, "ffn": 64, "heads": 2, "kv_heads": 1}
    for name in ("one", "two"):
        file = tmp_path / f"{name}.gguf"
        write_random_model(file, name, replace(SHAPES["tiny"], **sizes), "q8_0")
    site.folders["/two/"] = tmp_path
    site.overlay["/blank.html"] = b"<!doctype html><link rel=icon href=icon.svg>"
    made = Tabs(page, f"{site.url}blank.html")
    for name in ("one", "two"):
        made.serve(name, f"{site.url}two/{name}.gguf")
    made.open("asks")
    yield made
    for name in list(made.handles):
        made.close(name)
    page.driver.switch_to.window(made.first)
    page.complaints()  # the browser tells of every status that is an error


def streamed_by(tabs: Tabs) -> str:
    """The id of a stream of the tab in front, which is remembered there."""
    return str(tabs.driver.execute_async_script(STREAM))


def test_one_of_them_answers_and_the_other_takes_over(tabs: Tabs) -> None:
    assert tabs.answers() == "two"  # the newest
    tabs.to("one")
    assert tabs.answers() == "one"  # itself
    stream = streamed_by(tabs)
    tabs.to("asks")
    assert tabs.answers() == "two"
    status = "return fetch(`/v1/streams/${arguments[0]}`).then(({ status }) => status)"
    assert tabs.page.js(status, stream) == 200  # of whom it is
    assert tabs.page.js(status, "unknown") == 404

    tabs.page.js(ASK)
    tabs.close("two")  # in the middle of an answer
    tabs.to("asks")
    reply = wait_until(lambda: tabs.page.js("return window.reply"), 100, "the other tab's answer")
    assert reply["model"] == "one"
    assert tabs.answers() == "one"
    tabs.close("one")
    tabs.to("asks")
    assert "no_engine" in tabs.page.js("return fetch('/v1/models').then((reply) => reply.text())")
