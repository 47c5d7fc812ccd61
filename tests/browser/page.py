"""The chat page as a person uses it, driven by selenium."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

OUT = Path(__file__).parents[1] / "out"

DESKTOP = (1100, 760)
PHONE = (360, 640)


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true result; fails with ``what`` when there was none in time."""
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < seconds:
        result = condition()
        if result:
            return result
        rest(waited)
    pytest.fail(f"waited {seconds:g} s in vain: {what}")


def rest(waited: float) -> None:
    """Before what was waited for so long is looked at again: each look keeps a browser from it."""
    time.sleep(min(0.03 + waited / 20, 0.2))


class Page:
    """One tab with the chat page in it."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Load the page; earlier console messages, settings and conversations are forgotten."""
        self.driver.get("about:blank")  # the page in view may keep some as it goes
        origin = "/".join(url.split("/")[:3])
        self.cdp("Storage.clearDataForOrigin", origin=origin, storageTypes="local_storage")
        forget = "Page.addScriptToEvaluateOnNewDocument"
        script = self.cdp(forget, source="sessionStorage.clear()")["identifier"]
        self.driver.get(url)
        self.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
        self.driver.get_log("browser")

    def js(self, code: str, *arguments: Any) -> Any:
        """What a function body of JavaScript returns; a promise is waited for."""
        return self.driver.execute_script(code, *arguments)

    def one(self, selector: str) -> WebElement:
        """The element; there must be one."""
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[WebElement]:
        """Every element of that kind."""
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        """The element's whole text, also of what is scrolled out of sight."""
        return str(self.js("return document.querySelector(arguments[0]).textContent", selector))

    def shown(self, selector: str) -> bool:
        """Whether the element can be seen."""
        return self.one(selector).is_displayed()

    @property
    def state(self) -> str:
        """What the page says it does: see demo/app/course.mjs."""
        return str(self.js("return document.body.dataset.state"))

    def wait_for(self, *states: str, seconds: float = 60) -> None:
        """Wait for one of these states; a notice that came instead is shown in the failure."""
        begun = time.monotonic()
        while (state := self.state) not in states:
            waited = time.monotonic() - begun
            if state in ("failed", "lost", "empty") or waited > seconds:
                notice = self.text("#notice").strip()
                pytest.fail(f"the page is {state}, not {' or '.join(states)}: {notice}")
            rest(waited)

    def type(self, *keys: str) -> None:
        """Press keys on whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def send(self, text: str) -> None:
        """Write a message and press Enter."""
        self.one("#prompt").send_keys(text, Keys.ENTER)

    @property
    def draft(self) -> str:
        """What is written in the composer."""
        return str(self.one("#prompt").get_property("value"))

    def take_draft(self) -> str:
        """The same, and clear it."""
        draft = self.draft
        self.one("#prompt").clear()
        return draft

    def ask(self, text: str, seconds: float = 60) -> str:
        """Send a message and wait for the whole answer."""
        before = self.answers
        self.send(text)
        wait_until(
            lambda: self.answers > before or self.state not in ("ready", "answering"),
            seconds,
            f"an answer to {text!r}",
        )
        self.wait_for("ready")
        return self.last_answer

    @property
    def answers(self) -> int:
        """How many answers were completed on this page."""
        return int(self.js("return document.body.dataset.answers ?? 0"))

    @property
    def last_answer(self) -> str:
        """The text of the last answer as it stands."""
        answers = "return [...document.querySelectorAll('.assistant > .body')].at(-1)?.innerText"
        return str(self.js(answers) or "").strip()

    @property
    def last_note(self) -> str:
        """What stands under the last answer."""
        return self.text("#messages > li:last-child .foot > span")

    @property
    def questions(self) -> list[str]:
        """Every question of the conversation."""
        texts = "return [...document.querySelectorAll('.user > .body')].map((e) => e.textContent)"
        return list(self.js(texts))

    def set_field(self, selector: str, value: str) -> None:
        """Give a field of a dialog a value, as if it was typed there."""
        self.js(
            """
            const [selector, value] = arguments;
            const field = document.querySelector(selector);
            field.value = value;
            field.dispatchEvent(new Event("input", { bubbles: true }));
            field.dispatchEvent(new Event("change", { bubbles: true }));
            """,
            selector,
            value,
        )

    def load_address(self, address: str) -> None:
        """Load a model by its address, through the dialog."""
        self.one("#model-button").click()
        self.one("#address").clear()
        self.one("#address").send_keys(address, Keys.ENTER)

    def click_notice(self, label: str) -> None:
        """Press the notice's button of that name."""
        buttons = {button.text: button for button in self.all("#notice-actions button")}
        assert label in buttons, f"the notice offers {sorted(buttons)}"
        buttons[label].click()

    def resize(self, size: tuple[int, int], scheme: str = "light") -> None:
        """Show the page at a size, in a colour scheme, without animations."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.cdp("Emulation.setDeviceMetricsOverride", mobile=size == PHONE, **metrics)
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        media = [{"name": name, "value": value} for name, value in features.items()]
        self.cdp("Emulation.setEmulatedMedia", features=media)

    def cdp(self, command: str, **arguments: Any) -> Any:
        """Chromium's own protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    @property
    def focused(self) -> str:
        """The id of the element that has the focus."""
        return str(self.js("return document.activeElement.id"))

    def click_action(self, action: str) -> None:
        """Press a button of the last exchange, which only a pointer above it shows."""
        self.js(f"[...document.querySelectorAll('[data-action={action}]')].at(-1).click()")

    def drop(self, path: Path) -> None:
        """Drag a file or a folder onto the page and let it go."""
        drag = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.cdp("Input.dispatchDragEvent", type=kind, x=300, y=300, data=drag)
            assert self.shown("#drop") == (kind != "drop")

    def listen(self) -> None:
        """Note what a screen reader is told from now on; see ``told``."""
        self.js("""
          window.told = [];
          const announcer = document.querySelector("#announcer");
          window.observer?.disconnect();
          window.observer = new MutationObserver(() => window.told.push(announcer.textContent));
          window.observer.observe(announcer, { childList: true });
        """)

    @property
    def told(self) -> list[str]:
        """What a screen reader was told since ``listen``."""
        return list(self.js("return window.told"))

    def screenshot(self, name: str) -> None:
        """Keep a picture in tests/out."""
        OUT.mkdir(exist_ok=True)
        self.driver.save_screenshot(str(OUT / f"{name}.png"))

    def complaints(self) -> list[str]:
        """What the browser wrote to the console as an error since the last call."""
        log = self.driver.get_log("browser")
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]
