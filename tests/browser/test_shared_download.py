"""Two tabs of a site that load one model at once: one downloads it, and both have it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from page import Page, wait_until
from served import ROOT, TestSite
from tabs import Tabs

sys.path[:0] = [str(ROOT / "tests" / name) for name in ("engine", "gpu", "unit/fetch")]

from hostile_server import StallingServer  # noqa: E402 - they lie beside other tests
from made_embedders import EMBEDDERS, write_embedder_gguf  # noqa: E402
from range_server import running  # noqa: E402

MIB = 1 << 20
# What shaders compile for in a moment, in twelve blocks of the store.
WIDE = replace(EMBEDDERS["bert-2x40"], hidden=512, intermediate=2048, heads=8, layers=1)
EMBED = """
  const done = arguments[arguments.length - 1];
  engine.embeddings.create({ input: "abc" }).then(({ data }) => done(data[0].embedding));
"""
SIZE = "return engine.store.size(arguments[0])"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StallingServer]:
    """Stalls in the middle of the file."""
    file = write_embedder_gguf(tmp_path / "wide.gguf", WIDE).read_bytes()
    server = StallingServer({"one.gguf": file, "two.gguf": file}, 8 * MIB)
    with running(server, server.released):
        yield server


@pytest.fixture
def tabs(page: Page, site: TestSite) -> Iterator[Tabs]:
    site.overlay["/blank.html"] = b"<!doctype html><link rel=icon href=icon.svg>"
    made = Tabs(page, f"{site.url}blank.html")
    made.start("first", "second")
    yield made
    made.close_all()


def asked(requests: Sequence[tuple[str, str | None]]) -> int:
    """The bytes that were asked for."""
    found = [re.fullmatch(r"bytes=(\d+)-(\d+)", asked or "") for _, asked in requests]
    return sum(int(match[2]) + 1 - int(match[1]) for match in found if match)


def load_beside(tabs: Tabs, server: StallingServer, url: str) -> None:
    """The first one has on the GPU what came, and the second one the file's head of it."""
    tabs.load("first", url)
    wait_until(lambda: server.sent >= server.most, 60, "the server stalls")
    wait_until(lambda: tabs.progress.get("loaded"), 60, "the first one has weights")
    tabs.load("second", url)
    wait_until(lambda: tabs.progress.get("stage") == "weights", 60, "the second one has the head")


def test_one_downloads_for_both_and_when_it_is_closed_the_other_goes_on(
    tabs: Tabs, server: StallingServer
) -> None:
    url = server.url("one.gguf")
    load_beside(tabs, server, url)
    server.released.set()
    vectors = []
    for name in tabs.handles:
        tabs.to(name)
        tabs.wait_for("loaded")
        vectors.append(tabs.driver.execute_async_script(EMBED))
    assert asked(server.requests) == server.sent == len(server.files["one.gguf"])

    url = server.url("two.gguf")
    server.released.clear()
    server.sent = 0
    load_beside(tabs, server, url)
    kept = wait_until(lambda: tabs.page.js(SIZE, url), 60, "some of it is kept")
    server.requests.clear()
    tabs.close("first")
    wait_until(lambda: server.requests, 60, "the second one asks for more")
    server.released.set()
    tabs.to("second")
    tabs.wait_for("loaded")
    assert kept >= 4 * MIB and asked(server.requests) == len(server.files["two.gguf"]) - kept
    vectors.append(tabs.driver.execute_async_script(EMBED))
    assert vectors[1:] == vectors[:-1] and len(vectors[0]) == WIDE.hidden
