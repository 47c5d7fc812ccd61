"""Images in the chat: picked, dropped and pasted, shown, sent and taken back, around a test double
of the engine."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from page import DESKTOP, PHONE, Page, wait_until
from PIL import Image
from selenium.webdriver.common.keys import Keys

SHOWN = "return [...document.querySelectorAll(`${arguments[0]} img`)].map((image) => image.alt)"
WIDTH = "document.querySelector('#attachments img').naturalWidth"
PASTE = """
  const [name, type, text] = arguments;
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([window.pasted ?? "x"], name, { type }));
  if (text) clipboardData.setData("text/plain", text);
  const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
  document.activeElement.dispatchEvent(event);
  return event.defaultPrevented;
"""


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """Files by name; one of them is no image, whatever it is called."""
    made = {}
    for name, colour, size in (("a.png", "teal", (320, 200)), ("b.jpg", "orange", (90, 160))):
        data = io.BytesIO()
        Image.new("RGB", size, colour).save(data, "PNG" if name == "a.png" else "JPEG")
        made[name] = tmp_path / name
        made[name].write_bytes(data.getvalue())
    made["broken.png"] = tmp_path / "broken.png"
    made["broken.png"].write_bytes(b"no image")
    return made


@pytest.fixture
def seeing(ready: Page) -> Page:
    """A new chat with a model that sees."""
    assert not ready.shown("#attach")
    ready.load_address("sees")
    ready.wait_for("ready")
    assert ready.shown("#attach") and "sees images" in ready.text("#model-summary")
    return ready


def attached(page: Page) -> list[str]:
    return list(page.js(SHOWN, "#attachments"))


def attach(page: Page, *paths: Path) -> None:
    """Pick files, and wait until they are shown."""
    before = len(attached(page))
    page.one("#image-input").send_keys("\n".join(map(str, paths)))
    wait_until(lambda: len(attached(page)) == before + len(paths), 60, "thumbnails")


def test_images_are_picked_and_sent(seeing: Page, pictures: dict[str, Path]) -> None:
    seeing.listen()
    attach(seeing, pictures["a.png"], pictures["b.jpg"])
    assert attached(seeing) == ["a.png", "b.jpg"]
    assert seeing.told == ["a.png was added.", "b.jpg was added."]
    seeing.screenshot("images-attached")
    sent = "data:image/png;, data:image/jpeg, what are they?"
    assert seeing.ask("what are they?") == f"You said: {sent}"
    assert seeing.js(SHOWN, ".user > .body") == ["a.png", "b.jpg"]
    assert attached(seeing) == []
    loaded = (
        "return [...document.querySelectorAll('.user img')].map((i) => [i.naturalWidth, i.height])"
    )
    # The page's own policy lets them be seen, and their shape is theirs.
    assert seeing.js(loaded) == [[320, 200], [90, 160]]
    assert seeing.ask("and now?") == "You said: and now?"
    for size, scheme in ((PHONE, "dark"), (DESKTOP, "light")):
        seeing.resize(size, scheme)
        seeing.screenshot(f"images-{scheme}")


def test_a_camera_s_image_is_shrunk(seeing: Page, tmp_path: Path) -> None:
    Image.new("L", (6000, 3000), 90).save(tmp_path / "camera.png")
    attach(seeing, tmp_path / "camera.png")
    wait_until(lambda: seeing.js(f"return {WIDTH} > 0"), 60, "the thumbnail")
    assert seeing.js(f"return {WIDTH}") == 2048
    assert seeing.ask("what?") == "You said: data:image/jpeg, what?"


def test_an_image_alone_is_a_question(seeing: Page, pictures: dict[str, Path]) -> None:
    attach(seeing, pictures["b.jpg"])
    assert seeing.ask("") == "You said: data:image/jpeg"


def test_the_keyboard_removes_an_image(seeing: Page, pictures: dict[str, Path]) -> None:
    attach(seeing, pictures["a.png"], pictures["b.jpg"])
    assert seeing.focused == "prompt"
    seeing.type(Keys.SHIFT + Keys.TAB)
    assert seeing.focused == "attach"
    seeing.type(Keys.SHIFT + Keys.TAB + Keys.TAB)  # Shift is still held
    named = "return document.activeElement.ariaLabel ?? document.activeElement.id"
    assert seeing.js(named) == "Remove a.png"
    seeing.type(Keys.ENTER)
    assert attached(seeing) == ["b.jpg"]
    assert seeing.focused == "prompt"
    assert seeing.text("#announcer") == "a.png was removed."


def test_images_are_dropped_and_pasted(seeing: Page, pictures: dict[str, Path]) -> None:
    seeing.drop(pictures["a.png"])
    wait_until(lambda: attached(seeing) == ["a.png"], 60, "the dropped image")
    assert seeing.text("#drop p") == "Drop images, a .gguf file, a model folder or documents"
    seeing.js("document.querySelector('#prompt').focus();"
              "window.pasted = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0))",
              seeing.js("return document.querySelector('#attachments img').src").split(",")[1])  # fmt: skip # noqa: E501
    assert seeing.js(PASTE, "image.png", "image/png", "") is True
    wait_until(lambda: attached(seeing) == ["a.png", "image.png"], 60, "the pasted image")
    assert seeing.js(PASTE, "table.png", "image/png", "1\t2") is False
    assert seeing.js(PASTE, "notes.txt", "text/plain", "") is False
    assert seeing.text("#model-name") == "sees"


def test_what_is_no_image_is_told(seeing: Page, pictures: dict[str, Path]) -> None:
    seeing.one("#image-input").send_keys(str(pictures["broken.png"]))
    wait_until(lambda: seeing.shown("#notice"), 60, "a notice")
    assert "broken.png cannot be read by this browser" in seeing.text("#notice-text")
    assert attached(seeing) == []
    seeing.click_notice("OK")


def test_a_model_without_eyes_says_so(ready: Page, pictures: dict[str, Path]) -> None:
    ready.drop(pictures["a.png"])
    wait_until(lambda: ready.shown("#notice"), 60, "a notice")
    assert ready.text("#notice-title") == "This model reads text only"
    assert "SmolVLM" in ready.text("#notice-text")
    assert ready.text("#model-name") == "Pocket model"
    assert ready.text("#drop p") == "Drop a .gguf file, a model folder or documents"
    ready.screenshot("images-refused")
    ready.click_notice("Choose a model")
    assert ready.shown("#model-dialog")
    ready.type(Keys.ESCAPE)


def test_images_come_back_with_their_question(seeing: Page, pictures: dict[str, Path]) -> None:
    attach(seeing, pictures["a.png"])
    first = seeing.ask("what?")
    before = seeing.answers
    seeing.click_action("regenerate")
    wait_until(lambda: seeing.answers > before and seeing.state == "ready", 60, "another answer")
    assert seeing.last_answer == first
    attach(seeing, pictures["b.jpg"])  # a draft
    seeing.click_action("edit")
    assert attached(seeing) == ["a.png"]
    seeing.one("#attachments button").click()
    assert seeing.ask(" else?") == "You said: what? else?"
    assert attached(seeing) == ["b.jpg"]
    seeing.send("lose the device")
    wait_until(lambda: seeing.state == "lost", 60, "the device is lost")
    assert (seeing.draft, attached(seeing)) == ("lose the device", ["b.jpg"])
    seeing.click_notice("Start the model again")
    seeing.wait_for("ready")


def test_a_conversation_with_images_and_another_model(
    seeing: Page, pictures: dict[str, Path]
) -> None:
    attach(seeing, pictures["a.png"])
    seeing.ask("what?")
    seeing.load_address("other")
    seeing.wait_for("ready")
    seeing.send("and now?")
    wait_until(lambda: seeing.shown("#notice"), 60, "a notice")
    assert seeing.text("#notice-title") == "The model cannot see an image"
    assert seeing.take_draft() == "and now?"
    seeing.click_notice("New chat")


def test_documents_are_asked_in_words(seeing: Page, pictures: dict[str, Path]) -> None:
    attach(seeing, pictures["a.png"])
    seeing.one("#documents-tab").click()
    assert not seeing.shown("#attach") and not seeing.shown("#attachments")
    seeing.one("#chat-tab").click()
    assert seeing.shown("#attach") and attached(seeing) == ["a.png"]
    seeing.one("#attachments button").click()
