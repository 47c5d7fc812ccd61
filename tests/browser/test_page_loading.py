"""Where the page takes models from, and how a load is shown, around a test double of the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from page import Page, wait_until
from selenium.webdriver.common.keys import Keys


def test_a_model_that_does_not_fit(ready: Page) -> None:
    ready.load_address("big")
    wait_until(lambda: ready.state == "empty", 60, "the load fails")
    assert ready.text("#notice-title") == "The model does not fit into GPU memory"
    assert "shorter context" in ready.text("#notice-text")
    assert "7.2 GB are needed" in ready.text("#notice-message")
    assert ready.text("#model-name") == "No model"
    ready.click_notice("Back to Pocket model")
    ready.wait_for("ready")
    assert ready.ask("Hello") == "You said: Hello"


def test_a_load_shows_its_progress_and_can_be_cancelled(ready: Page) -> None:
    ready.load_address("slow")
    wait_until(lambda: ready.text("#loading-text").endswith("MB of 200 MB"), 60, "bytes")
    wait_until(lambda: "MB of 200 MB · 50 MB/s · " in ready.text("#loading-text"), 60, "a rate")
    assert ready.text("#loading-text").endswith(" s left")
    widths = "const { scrollWidth, clientWidth } = document.querySelector('#loading-text');"
    assert ready.js(f"{widths} return scrollWidth <= clientWidth")
    assert 10 / 200 < ready.one("#loading-bar").get_property("value") < 1
    ready.screenshot("loading")
    wait_until(lambda: ready.text("#loading-text") == "Compiling GPU kernels", 60, "the kernels")
    assert ready.text("#stages .active") == "Kernels"
    assert ready.js("return document.querySelector('#loading-bar').matches(':indeterminate')")
    ready.one("#cancel").click()
    wait_until(lambda: ready.state == "empty", 60, "the load ends")
    assert not ready.shown("#loading")
    ready.click_notice("Back to Pocket model")
    ready.wait_for("ready")


def test_a_file_is_picked_from_disk(ready: Page, tmp_path: Path) -> None:
    file = tmp_path / "picked.gguf"
    file.write_bytes(b"GGUF")
    ready.one("#file-input").send_keys(str(file))
    wait_until(lambda: ready.text("#model-name") == "picked.gguf", 60, "the file's name")
    ready.wait_for("ready")
    assert "picked.gguf" in ready.text("#model-summary")


def test_a_file_is_dropped_on_the_page(ready: Page, tmp_path: Path) -> None:
    file = tmp_path / "dropped.gguf"
    file.write_bytes(b"some bytes")
    ready.drop(file)
    wait_until(lambda: ready.text("#model-name") == "dropped.gguf", 60, "the file's name")
    ready.wait_for("ready")
    assert ready.text("#model-summary").startswith("dropped.gguf · ")


def test_documents_that_are_dropped_on_the_chat_are_no_models(ready: Page, tmp_path: Path) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("# Keys\n\nThe key is under the mat.\n")
    ready.send("defect")
    wait_until(lambda: ready.shown("#notice"), 60, "a notice")
    ready.complaints()  # the traceback is in the console on purpose
    ready.take_draft()
    ready.drop(notes)
    assert ready.shown("#documents") and not ready.shown("#notice")
    wait_until(lambda: ready.all("#document-list li"), 60, "the document is listed")
    assert (ready.state, ready.text("#model-name")) == ("ready", "Pocket model")
    ready.one("#document-list button").click()
    wait_until(lambda: not ready.all("#document-list li"), 60, "it is removed")
    ready.one("#chat-tab").click()
    ready.send("go on for ever")
    wait_until(lambda: "word3" in ready.last_answer, 60, "a long answer begins")
    ready.drop(notes)
    assert ready.text("#notice-title") == "Added to your documents"
    assert ready.state == "answering" and ready.shown("#chat")
    ready.one("#stop").click()
    ready.wait_for("ready")
    ready.one("#documents-tab").click()
    wait_until(lambda: ready.all("#document-list li"), 60, "the document is listed")
    ready.one("#document-list button").click()
    wait_until(lambda: not ready.all("#document-list li"), 60, "it is removed")
    ready.one("#chat-tab").click()


def test_an_empty_folder_is_told(ready: Page, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ready.drop(tmp_path / "empty")
    wait_until(lambda: ready.shown("#notice"), 60, "a notice")
    assert ready.text("#notice-title") == "This folder is empty"
    assert ready.state == "ready"
    ready.click_notice("OK")


@pytest.mark.parametrize("by", ["drop", "dialog"])
@pytest.mark.parametrize("names", [["config.json"], ["config.json", "model.safetensors"]])
def test_a_folder_goes_by_its_name(ready: Page, tmp_path: Path, names: list[str], by: str) -> None:
    folder = tmp_path / "a-model"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"some bytes")
    if by == "drop":
        ready.drop(folder)
    else:
        ready.one("#folder-input").send_keys(str(folder))
    wait_until(lambda: ready.text("#model-name") == "a-model", 60, "the folder's name")
    ready.wait_for("ready")
    files = ", ".join(f"a-model/{name}" for name in names)
    assert ready.text("#model-summary").startswith(f"{len(names)} files: {files} · ")


@pytest.mark.parametrize("dialog", ["model", "settings"])
def test_a_drop_closes_the_dialog_that_is_open(ready: Page, tmp_path: Path, dialog: str) -> None:
    file = tmp_path / "dropped.gguf"
    file.write_bytes(b"some bytes")
    ready.one(f"#{dialog}-button").click()
    ready.drop(file)
    wait_until(lambda: ready.text("#model-name") == "dropped.gguf", 60, "the file's name")
    assert not ready.shown(f"#{dialog}-dialog")
    ready.wait_for("ready")


@pytest.mark.parametrize(
    "path", ["C:\\models\\x.gguf", "file:///home/me/x.gguf", "/home/me/x.gguf", "~/x.gguf"]
)
def test_a_path_on_the_disk_is_no_address(ready: Page, path: str) -> None:
    ready.load_address(path)
    assert ready.state == "ready"
    assert "use “A file”" in ready.one("#address").get_property("validationMessage")
    ready.one("#address").clear()
    ready.one("#address").send_keys("other", Keys.ENTER)
    wait_until(lambda: ready.text("#model-name") == "other", 60, "an address is one")
    ready.wait_for("ready")
