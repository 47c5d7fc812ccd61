"""Documents that are dropped on the page: found, quoted, kept, removed; with the pocket model."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from page import PHONE, Page, wait_until
from selenium.webdriver.common.keys import Keys
from served import TestSite

sys.path += [str(Path(__file__).parents[1] / name) for name in ("unit/documents", "engine", "gpu")]

from made_embedders import EMBEDDERS, write_embedder_gguf
from pdf_files import pdf_of

MADE = EMBEDDERS["bert-3x32"]

TOWN = (
    b"# Opening hours\n\nThe library opens at 11.\n\n# Food\n\nThe secret ingredient is garlic.\n"
)
MENU = pdf_of("Bread and tea.", "The bakery opens at 6.")

DROP = """
const [files] = arguments;
const carried = new DataTransfer();
for (const [name, content] of files) {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.codePointAt(0));
  carried.items.add(new File([bytes], name));
}
for (const type of ["dragenter", "dragover", "drop"]) {
  const options = { dataTransfer: carried, bubbles: true, cancelable: true };
  document.body.dispatchEvent(new DragEvent(type, options));
}
"""


def drop(page: Page, files: dict[str, bytes]) -> None:
    page.js(DROP, [[name, base64.b64encode(data).decode()] for name, data in files.items()])


def names(page: Page) -> list[str]:
    listed = "[...document.querySelectorAll('#document-list .name')]"
    return list(page.js(f"return {listed}.map((e) => e.textContent)"))


def test_dropped_documents_are_asked_quoted_and_kept(pocket: Page, tmp_path: Path) -> None:
    page = pocket
    page.one("#new-chat").click()
    page.js("document.querySelector('#reset-settings').click()")
    page.js("document.querySelector('#chat-tab').focus()")
    page.type(Keys.ARROW_RIGHT)
    assert not page.shown("#welcome") and not page.one("#send").is_enabled()
    asked = "return document.querySelector('#prompt').placeholder"
    assert page.js(asked) == "Add a document, then ask"
    drop(page, {"town.md": TOWN, "menu.pdf": MENU, "photo.png": b"\x89PNG\0"})
    wait_until(lambda: names(page) == ["menu.pdf", "town.md"], 60, "the documents are listed")
    wait_until(lambda: page.shown("#notice"), 60, "the picture is refused")
    assert "photo.png is no text" in page.text("#notice-text")
    page.click_notice("OK")
    assert page.js(asked) == "Ask your documents"
    assert page.ask("When does the library open?") == "The library opens at 11."
    sources = [element.text for element in page.all(".sources summary")]
    assert sources == ["[1] town.md, Opening hours"]
    page.one(".sources summary").click()
    assert page.one(".sources blockquote").text == "The library opens at 11."
    page.screenshot("documents")
    assert page.ask("When does the bakery open?") == "The bakery opens at 6."
    assert page.all(".sources summary")[-1].text == "[1] menu.pdf, page 2"
    page.send("Which elephants are pink?")
    wait_until(lambda: page.shown("#notice"), 60, "nothing is found")
    assert "nothing was found" in page.text("#notice-text")
    page.one("#search-kind").click()
    page.one("#embedder-input").send_keys(str(write_embedder_gguf(tmp_path / "it.gguf", MADE)))
    wait_until(lambda: "and by meaning" in page.text("#search-kind"), 60, "an embedder is loaded")
    page.resize(PHONE, "dark")
    page.screenshot("documents-phone")
    page.driver.refresh()
    wait_until(lambda: page.shown("#cancel"), 60, "the page loads its model")
    page.one("#cancel").click()
    page.one("#documents-tab").click()  # without a model
    wait_until(lambda: names(page) == ["menu.pdf", "town.md"], 60, "they were kept")
    assert page.all(".sources summary")[-1].text == "[1] menu.pdf, page 2"
    for _ in range(2):
        count = len(names(page))
        page.one("#document-list button").click()
        wait_until(lambda count=count: len(names(page)) < count, 60, "one is removed")
    assert names(page) == []


def test_numbers_in_an_answer_lead_to_their_sources(page: Page, site: TestSite) -> None:
    if not page.driver.current_url.startswith(site.url):
        page.open(site.url)
    numbers, code = page.js("""
      return (async () => {
        const { Sources } = await import(new URL("app/sources.mjs", document.baseURI));
        const [one, two] = [{ title: "a.md", text: "one" }, { title: "b.md", text: "two" }];
        const sources = new Sources([one, two]);
        const body = document.createElement("div");
        body.innerHTML = "<p>So [1, 2], and [2], not [3].</p><pre>[1]</pre>";
        document.querySelector("main > .column").prepend(body, sources.element);
        sources.link(body);
        return [body.querySelector("p").textContent, body.querySelector("pre").innerHTML];
      })();
    """)
    assert (numbers, code) == ("So [1][2], and [2], not [3].", "[1]")
    links = page.all(".citation")
    assert [link.get_attribute("title") for link in links] == ["[1] a.md", "[2] b.md", "[2] b.md"]
    links[1].click()
    quotes = page.all("main > .column > .sources blockquote")
    assert [quote.is_displayed() for quote in quotes] == [False, True]
    assert page.driver.switch_to.active_element.text == "[2] b.md"
