"""Two tabs of a site that both answer its requests, and a third one that asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from page import Page, wait_until
from served import TestSite
from tabs import Tabs

from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

SERVE = """
  const done = arguments[arguments.length - 1];
  engine.serve("/service.js").then(() => done("serves"), (error) => done(String(error)));
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
    made.start("one", "two")
    for name in made.handles:
        made.load(name, f"{site.url}two/{name}.gguf")
    for name in made.handles:
        made.to(name)
        made.wait_for("loaded")
        assert made.driver.execute_async_script(SERVE) == "serves"
    made.open("asks")
    yield made
    made.close_all()
    page.complaints()  # the browser tells of every status that is an error


def answers(tabs: Tabs) -> str:
    """Whose model answers the tab in front."""
    return str(tabs.driver.execute_async_script(MODEL))


def streamed_by(tabs: Tabs) -> str:
    """The id of a stream of the tab in front, which is remembered there."""
    return str(tabs.driver.execute_async_script(STREAM))


def test_one_of_them_answers_and_the_other_takes_over(tabs: Tabs) -> None:
    assert answers(tabs) == "two"  # the newest
    tabs.to("one")
    assert answers(tabs) == "one"  # itself
    stream = streamed_by(tabs)
    tabs.to("asks")
    assert answers(tabs) == "two"
    status = "return fetch(`/v1/streams/${arguments[0]}`).then(({ status }) => status)"
    assert tabs.page.js(status, stream) == 200  # of whom it is
    assert tabs.page.js(status, "unknown") == 404

    tabs.page.js(ASK)
    tabs.close("two")  # in the middle of an answer
    tabs.to("asks")
    reply = wait_until(lambda: tabs.page.js("return window.reply"), 100, "the other tab's answer")
    assert reply["model"] == "one"
    assert answers(tabs) == "one"
    tabs.close("one")
    tabs.to("asks")
    assert "no_engine" in tabs.page.js("return fetch('/v1/models').then((reply) => reply.text())")
