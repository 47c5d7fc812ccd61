"""Images in the page's worker: a PNG in a data URL, decoded by the browser there."""

from __future__ import annotations

import base64
import json
import sys
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
  const worker = new Worker("/worker.mjs", { type: "module" });
  const texts = [];
  window.told = { texts, vision: null, error: null, done: false };
  const ask = () => worker.postMessage({
    type: "chat", id: 2 + texts.push(""), messages: conversations[texts.length - 1],
    options: { temperature: 0, max_tokens: 1, logit_bias: bias },
  });
  worker.onmessage = ({ data }) => {
    if (data.type === "error") window.told.error = `${data.kinds}: ${data.message}`;
    if (data.type === "loaded") window.told.vision = data.info.vision;
    if (data.type === "delta") texts[texts.length - 1] += data.text;
    if (data.type !== "loaded" && data.type !== "done") return;
    if (texts.length < conversations.length) ask();
    else {
      window.told.done = true;
      worker.terminate();
    }
  };
  worker.postMessage({ type: "load", id: 1, source: { kind: "address", address } });
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
