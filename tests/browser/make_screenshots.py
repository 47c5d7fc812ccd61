"""Makes the README's pictures of the chat page anew: the built site, and the pocket model's own
answers on this machine's adapter.

    python tests/browser/make_screenshots.py
"""

from __future__ import annotations

import io

from chromium import new_driver
from page import Page, wait_until
from PIL import Image
from served import DIST, ROOT, TestSite

WIDTH, SCALE = 1080, 2
HEIGHTS = {"screenshot": 740, "documents": 840}
QUESTIONS = (
    "What is the capital of Japan?",
    "Priya is 31. Give that as JSON.",
    "Tell me a short story about a fox.",
)
DOCUMENTS = {
    "library.md": "# Opening hours\n\nThe library opens at 11. It closes at 7.\n\n"
    "# Rules\n\nEvery reader may take six books. Dogs wait outside.\n",
    "garden.md": "# The school garden\n\nThe garden has four beds. Ana waters the beans.\n",
}
ASKED = "When does the library open?"


def main() -> None:
    """Ask, and keep what is seen."""
    driver = new_driver()
    site = TestSite(DIST)
    page = Page(driver)
    try:
        page.open(site.url)
        show(page, HEIGHTS["screenshot"])
        page.wait_for("ready", seconds=200)
        for question in QUESTIONS:
            page.ask(question, seconds=200)
        keep(page, "screenshot")
        page.one("#documents-tab").click()
        show(page, HEIGHTS["documents"])
        add_documents(page)
        page.ask(ASKED, seconds=200)
        page.js("document.querySelector('#document-messages .sources details').open = true")
        keep(page, "documents")
    finally:
        driver.quit()
        site.close()


def show(page: Page, height: int) -> None:
    """In light colours, sharp, and still."""
    metrics = {"width": WIDTH, "height": height, "deviceScaleFactor": SCALE, "mobile": False}
    page.cdp("Emulation.setDeviceMetricsOverride", **metrics)
    features = {"prefers-color-scheme": "light", "prefers-reduced-motion": "reduce"}
    media = [{"name": name, "value": value} for name, value in features.items()]
    page.cdp("Emulation.setEmulatedMedia", features=media)


def add_documents(page: Page) -> None:
    """As if they were dropped."""
    page.js(
        """
        const transfer = new DataTransfer();
        for (const [name, text] of Object.entries(arguments[0])) {
          transfer.items.add(new File([text], name, { type: "text/markdown" }));
        }
        const input = document.querySelector("#documents-input");
        input.files = transfer.files;
        input.dispatchEvent(new Event("change"));
        """,
        DOCUMENTS,
    )
    wait_until(lambda: len(page.all("#document-list li")) == len(DOCUMENTS), 60, "the documents")


def keep(page: Page, name: str) -> None:
    """The page as it is now, in demo/."""
    page.js("document.activeElement.blur()")
    seen = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
    path = ROOT / "demo" / f"{name}.png"
    seen.save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
