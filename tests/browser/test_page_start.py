"""What a page cannot start with: no WebGPU, no adapter, no snapshot of Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from page import Page, wait_until
from served import TestSite


def test_no_webgpu_at_all(page: Page, site: TestSite) -> None:
    remove = "Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined });"
    script = page.cdp("Page.addScriptToEvaluateOnNewDocument", source=remove)
    try:
        page.open(site.url)
        wait_until(lambda: page.state == "failed", 60, "the page says that it cannot run")
    finally:
        page.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
    assert page.text("#notice-title") == "This browser offers no WebGPU"
    assert "chrome://" in page.text("#notice-text")
    assert [button.text for button in page.all("#notice-actions button")] == ["Reload the page"]
    for entry in page.all("#send, #model-button, #examples button"):
        assert not entry.is_enabled()
    drag = {"items": [], "files": [__file__], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        page.cdp("Input.dispatchDragEvent", type=kind, x=300, y=300, data=drag)
    page.send("Hello")
    assert (page.state, page.draft) == ("failed", "Hello")
    assert page.shown("#notice") and not page.shown("#loading")
    page.click_notice("Reload the page")
    wait_until(lambda: page.state != "failed", 60, "with WebGPU the page starts")


def test_a_page_that_is_not_served_says_so(page: Page, dist: Path) -> None:
    page.driver.get((dist / "index.html").as_uri())
    wait_until(lambda: page.shown("#notice"), 60, "a notice")
    assert page.state == "unstarted"
    assert "python build.py demo" in page.text("#notice-text")
    assert not page.shown("#loading")
    page.complaints()  # the browser tells that it refused to run the page's program


@pytest.fixture
def adapterless_site(dist: Path) -> Iterator[TestSite]:
    """The site, its worker's WebGPU without an adapter."""
    worker = (dist / "pyodide" / "js" / "worker.js").read_text(encoding="utf-8")
    worker = f"navigator.gpu.requestAdapter = async () => null;\n{worker}"
    served = TestSite(dist, {"/pyodide/js/worker.js": worker.encode()})
    yield served
    served.close()


def test_no_adapter(page: Page, adapterless_site: TestSite) -> None:
    page.open(f"{adapterless_site.url}?ask=Hello")
    wait_until(lambda: page.state == "failed", 60, "the page says that it cannot run")
    assert page.text("#notice-title") == "No graphics adapter can be used"
    assert "chrome://" in page.text("#notice-text")
    assert (page.questions, page.draft) == ([], "Hello")
    assert not page.one("#model-button").is_enabled()


def test_python_starts_without_its_snapshot(page: Page, double_site: TestSite) -> None:
    double_site.overlay["/pyodide/snapshot.bin.gz"] = b"not a snapshot"
    try:
        page.open(double_site.url)
        page.wait_for("ready")
    finally:
        del double_site.overlay["/pyodide/snapshot.bin.gz"]
    assert page.js("return document.body.dataset.fromSnapshot") == "false"
    assert page.ask("Hello") == "You said: Hello"
    page.driver.get("about:blank")  # the next test is to start with the snapshot


@pytest.fixture
def telling_site(dist: Path) -> Iterator[TestSite]:
    """The site, its worker with a channel that tells what was imported since Python is up."""
    worker = (dist / "pyodide" / "js" / "worker.js").read_text(encoding="utf-8")
    head = '  send({ type: "started"'
    assert head in worker
    channel = """
        python.runPython("import sys; frozen = set(sys.modules)");
        const channel = new BroadcastChannel("imported");
        channel.onmessage = () => {
            channel.postMessage(python.runPython("' '.join(sys.modules.keys() - frozen)"));
        };"""
    worker = worker.replace(head, f"{channel}\n{head}")
    served = TestSite(dist, {"/pyodide/js/worker.js": worker.encode()})
    yield served
    served.close()


def test_no_load_and_no_answer_imports_what_is_not_in_the_snapshot(
    page: Page, telling_site: TestSite
) -> None:
    def imported() -> list[str]:
        found: str = page.js("""
            const channel = new BroadcastChannel("imported");
            channel.postMessage("?");
            return new Promise((resolve) => channel.onmessage = ({ data }) => resolve(data));
        """)
        return found.split()

    page.open(telling_site.url)
    page.send("Hello!")  # waits for the model
    wait_until(lambda: page.text("#loading-text").startswith("Compiling"), 60, "all but kernels")
    assert page.js("return document.body.dataset.fromSnapshot") == "true"
    assert imported() == []
    wait_until(lambda: page.last_answer.strip(), 120, "the answer begins")
    assert imported() == []
    page.driver.get("about:blank")  # its kernels are of no use


def test_a_reload_finds_what_was_asked_answered_and_written(ready: Page) -> None:
    ready.load_address("a-model.gguf")
    ready.wait_for("loading")
    ready.wait_for("ready")
    ready.ask("think about it")
    ready.send("tell me for ever")
    wait_until(lambda: "word9 " in ready.last_answer, 60, "an answer grows")
    ready.one("#prompt").send_keys("a draft")
    ready.driver.refresh()
    assert ready.questions == ["think about it", "tell me for ever"]
    assert ready.last_answer.startswith("word0 word1 word2")
    assert [ready.last_note, ready.draft] == ["stopped", "a draft"]
    assert "it is." in ready.text(".thought")
    ready.wait_for("ready")
    assert ready.text("#model-name") == "a-model.gguf"
    ready.take_draft()
    assert ready.ask("and now?") == "You said: and now?"
    ready.one("#new-chat").click()
    ready.driver.refresh()
    assert ready.questions == []


def test_a_question_that_waits_outlives_a_reload(ready: Page) -> None:
    ready.load_address("slow")
    ready.send("Hello?")
    assert ready.last_note == "waits for the model"
    ready.driver.refresh()
    wait_until(lambda: ready.last_answer == "You said: Hello?", 60, "it is answered")
    ready.wait_for("ready")
