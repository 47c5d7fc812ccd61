"""Images from a page: a PNG in a data URL, decoded by the browser in the worker."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from page import Page, wait_until
from served import ROOT, TestSite

sys.path[:0] = [str(ROOT / "tests" / "engine"), str(ROOT / "tests" / "gpu")]

from made_vision import FIXTURE, SEEING, conversations, png_of, write_seeing  # noqa: E402

SPEC = SEEING["idefics3"]
PRINTABLE = range(32, 127)
ASK = """
  const [address, conversations, bias] = arguments;
  window.told = { texts: [], vision: null, error: null, done: false };
  (async () => {
    const { createEngine } = await import("/pyodide/webllm_py.js");
    const engine = await createEngine({ model: address });
    window.told.vision = (await engine.info()).vision;
    for (const messages of conversations) {
      const asked = { messages, temperature: 0, max_tokens: 1, logit_bias: bias };
      const { choices } = await engine.chat.completions.create(asked);
      window.told.texts.push(choices[0].message.content);
    }
    await engine.unload();
    window.told.done = true;
  })().catch((error) => (window.told.error = `${error.name}: ${error.message}`));
"""


def in_json(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A conversation whose images are data URLs."""
    made = []
    for message in messages:
        parts = message["content"]
        if not isinstance(parts, str):
            parts = [
                part
                if part["type"] == "text"
                else {
                    "type": "image_url",
                    "image_url": {
                        "url": "data:image/png;base64,"
                        + base64.b64encode(png_of(part["image"])).decode(),
                        "detail": part.get("detail", "auto"),
                    },
                }
                for part in parts
            ]
        made.append({**message, "content": parts})
    return made


def test_images_through_the_worker(page: Page, site: TestSite, tmp_path: Path) -> None:
    """The likeliest printable token is the one that transformers' logits have."""
    write_seeing(tmp_path / "seeing", SPEC)
    site.folders["/seeing/"] = tmp_path / "seeing"
    site.overlay["/blank.html"] = b"<!doctype html><link rel=icon href=icon.svg>"
    page.driver.get(f"{site.url}blank.html")
    asked = conversations(SPEC)
    bias = {token: -100 for token in range(SPEC.text.vocab) if token not in PRINTABLE}
    given = [json.loads(json.dumps(in_json(messages))) for messages in asked.values()]
    page.js(ASK, f"{site.url}seeing", given, bias)
    over = "return window.told.done || window.told.error"
    wait_until(lambda: page.js(over), 150, "the worker answers")
    told = page.js("return window.told")
    assert (told["error"], told["vision"]) == (None, "idefics3")
    with np.load(FIXTURE) as arrays:
        rows = [arrays[f"idefics3 {name} logits"][0][PRINTABLE] for name in asked]
    assert told["texts"] == [chr(PRINTABLE[int(row.argmax())]) for row in rows]


def test_the_chat_page_shows_a_model_images(page: Page, site: TestSite, tmp_path: Path) -> None:
    """What the page sends of a file is what the model reads: a question with its image is longer by
    the rows of the image, and the next question computes none of them again."""
    write_seeing(tmp_path / "seeing", SPEC)
    site.folders["/seeing/"] = tmp_path / "seeing"
    page.open(f"{site.url}?model={site.url}seeing")
    page.wait_for("ready", seconds=150)
    page.set_field("#max-tokens", "4")
    page.set_field("#temperature", "0")
    picture = tmp_path / "picture.png"
    picture.write_bytes(png_of(next(iter(images_of(conversations(SPEC))))))
    used = []
    for files in ([], [picture]):
        page.one("#new-chat").click()
        for path in files:
            page.one("#image-input").send_keys(str(path))
            wait_until(lambda: page.all("#attachments img"), 60, "a thumbnail")
        page.ask("what?", seconds=150)
        used.append(int(page.text("#status-context dd").split()[0]))
        assert page.last_answer, "a question without one is left out of the next prompt"
    assert used[1] > used[0] + 4
    page.ask("and now?", seconds=150)
    assert int(page.js("return document.body.dataset.cachedTokens")) >= used[1] - 5
    page.js("document.querySelector('#reset-settings').click()")


def images_of(asked: dict[str, Any]) -> Iterator[Any]:
    """The arrays in conversations."""
    for messages in asked.values():
        for message in messages:
            if not isinstance(message["content"], str):
                yield from (part["image"] for part in message["content"] if "image" in part)
