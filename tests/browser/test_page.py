"""The page as it ships, with the real engine on the browser's own WebGPU (here SwiftShader)."""

from __future__ import annotations

from pathlib import Path

import pytest
from page import PHONE, Page, wait_until
from selenium.webdriver.common.keys import Keys
from served import TestSite


@pytest.fixture(scope="module")
def opened(tab: Page, site: TestSite) -> Page:
    """The page with its pocket model, opened once."""
    tab.open(site.url)
    tab.wait_for("ready", seconds=180)
    tab.js("""
      const slider = document.querySelector("#temperature");
      slider.value = 0;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    """)
    return tab


@pytest.fixture
def chat(page: Page, opened: Page) -> Page:
    """A new chat in it."""
    page.one("#new-chat").click()
    return page


def test_a_typed_question_is_answered(chat: Page) -> None:
    assert chat.ask("What is the capital of Japan?").endswith("Tokyo.")
    assert chat.text("#status-adapter dd") == "swiftshader"
    assert "subgroups" in chat.one("#status-adapter").get_attribute("title")
    assert chat.text("#status-memory dd").endswith(" MB")
    chat.screenshot("answer-desktop")
    chat.resize(PHONE, "dark")
    chat.screenshot("answer-phone")


def test_a_second_question_reuses_the_cached_prefix(chat: Page) -> None:
    assert "75" in chat.ask("What is 27 + 48?")
    first = int(chat.js("return document.body.dataset.cachedTokens"))
    assert "14" in chat.ask("What is 9 + 5?")
    second = int(chat.js("return document.body.dataset.cachedTokens"))
    # All of the first turn but at most the last token of its answer is still in the pages.
    assert second > first
    title = chat.one("#status-context").get_attribute("title")
    assert title.startswith(f"{second} of ")


def test_stop_stops_and_the_next_question_is_answered(chat: Page) -> None:
    chat.send("Tell me a long story about a fox.")
    wait_until(lambda: len(chat.last_answer) > 10, 60, "the story begins")
    chat.one("#stop").click()
    chat.wait_for("ready")
    assert "stopped" in chat.text("#messages > li:last-child .foot")
    assert "6" in chat.ask("What is 4 + 2?")


def test_stop_at_once_and_new_chat_at_once(chat: Page) -> None:
    chat.one("#prompt").send_keys("Tell me a long story about a fox.")
    chat.js("for (const id of ['send', 'stop']) document.getElementById(id).click()")
    chat.wait_for("ready")
    assert chat.last_note.endswith("stopped")  # a fast first token may come before the stop
    assert "6" in chat.ask("What is 4 + 2?")
    chat.one("#prompt").send_keys("Tell me a long story about a fox.")
    chat.js("for (const id of ['send', 'new-chat']) document.getElementById(id).click()")
    assert "14" in chat.ask("What is 9 + 5?")
    assert chat.questions == ["What is 9 + 5?"]


def test_a_load_ends_the_answer_and_the_load_before_it(chat: Page, shared: Path) -> None:
    chat.send("Tell me a long story about a fox.")
    wait_until(lambda: len(chat.last_answer) > 10, 60, "the story begins")
    gguf = shared / "checkpoints" / "stories260K" / "stories260K.gguf"
    chat.one("#file-input").send_keys(str(gguf))
    chat.one("#model-button").click()
    chat.one("#pick-pocket").click()
    chat.wait_for("ready", seconds=180)
    assert chat.last_note.endswith("stopped")
    assert chat.text("#model-summary").startswith("Pocket · ")
    assert "6" in chat.ask("What is 4 + 2?")


def test_examples_are_answered_briefly(chat: Page) -> None:
    """Two of them: all of them are asked in tests/engine/test_page_examples.py."""
    examples = [button.get_property("textContent") for button in chat.all("#examples button")]
    assert len(examples) == 6
    for question in examples[:2]:
        chat.one("#new-chat").click()
        answer = chat.ask(question)
        assert answer
        assert "cut at the longest answer" not in chat.text("#messages > li:last-child .foot")


def test_a_local_gguf_is_picked_and_run(chat: Page, shared: Path) -> None:
    gguf = shared / "checkpoints" / "stories260K" / "stories260K.gguf"
    chat.one("#file-input").send_keys(str(gguf))
    wait_until(lambda: chat.state == "loading", 60, "the load begins")
    chat.wait_for("ready", seconds=180)
    assert chat.text("#model-name") == "stories260K.gguf"
    assert "llama" in chat.text("#model-summary")
    chat.one("#settings-button").click()
    chat.one("#max-tokens").send_keys(Keys.CONTROL + "a" + Keys.NULL, "24")
    chat.one("#settings-dialog .head button").click()
    chat.ask("Once upon a time")
    assert "24 tokens" in chat.text("#messages > li:last-child .foot")


def refused(chat: Page, picker: str, path: Path) -> str:
    """The title of the notice after a file or a folder was picked that is no model."""
    chat.one(picker).send_keys(str(path))
    wait_until(lambda: chat.shown("#notice"), 60, "the load fails")
    assert chat.state == "ready", "the model before is still there"
    title = chat.text("#notice-title")
    chat.js("document.querySelector('#notice').hidden = true")
    return title


def test_what_is_no_model_is_called_so(chat: Page, tmp_path: Path) -> None:
    texts = {
        "readme.txt": "Just some words about nothing.",
        "page.html": "<!doctype html><p>Hi</p>",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        assert refused(chat, "#file-input", tmp_path / name) == "This is no model file"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert refused(chat, "#folder-input", folder) == "A file of the model is missing"
    assert chat.text("#notice-text").startswith("folder is no model: it holds no model.safetensors")
    for name in ("a.gguf", "b.gguf"):
        (folder / name).write_bytes(b"GGUF")
    assert refused(chat, "#folder-input", folder) == "The folder holds several models: choose one"
    assert "a.gguf, b.gguf" in chat.text("#notice-text")


def test_a_damaged_file_is_refused_and_the_page_goes_on(chat: Page, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF" + bytes(40))
    assert refused(chat, "#file-input", damaged) in {
        "The model's file is damaged",
        "This model cannot be run",
    }
    assert chat.ask("Hello"), "the model before goes on"
    chat.one("#model-button").click()
    chat.one("#pick-pocket").click()
    chat.wait_for("ready", seconds=180)
    assert "5" in chat.ask("What is 2 + 3?")
