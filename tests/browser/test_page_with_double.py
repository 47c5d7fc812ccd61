"""The page around a test double of the engine: long answers, settings, broken devices, looks."""

from __future__ import annotations

import pytest
from page import DESKTOP, PHONE, Page, wait_until
from selenium.webdriver.common.keys import Keys
from served import TestSite


def test_answers_and_tells_how_fast(ready: Page) -> None:
    assert ready.js("return document.body.dataset.fromSnapshot") == "true"
    assert ready.ask("Hello") == "You said: Hello"
    assert ready.text("#status-state dd") == "Ready"
    assert ready.text("#status-context dd") == "23 of 1,024"
    assert ready.text("#status-memory dd") == "12 MB"
    assert ready.text("#status-adapter dd") == "test double"
    assert "Kernels: f32, subgroups of 4 or more" in ready.one("#status-adapter").get_attribute(
        "title"
    )
    assert "12 MB on test double · f32, subgroups of 4 or more" in ready.text("#model-summary")
    assert ready.all("#pick-pocket[aria-current]")
    assert ready.text("#status-speed dd").endswith("tok/s")
    assert ready.js("return document.body.dataset.cachedTokens") == "12"


SIZES = [(1100, 760), (768, 1024), PHONE, (320, 568)]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_known_stays_on_one_line(ready: Page, size: tuple[int, int]) -> None:
    ready.resize(size)
    place = "return document.querySelector('#composer').getBoundingClientRect().top"
    before = ready.js(place)
    ready.ask("Hello")
    assert ready.js(place) == before
    # The double is as quick as its machine is idle.
    ready.js("document.querySelector('#status-speed dd').textContent = '12,345 tok/s'")
    widths = ready.js("const { scrollWidth, clientWidth } = document.querySelector('#status');"
                      "return [scrollWidth, clientWidth]")  # fmt: skip
    assert widths[0] <= widths[1]
    ready.one("#new-chat").click()
    for name in ("speed", "first", "context"):
        assert not ready.shown(f"#status-{name}")


def test_a_screen_reader_is_told_what_is_shown(ready: Page) -> None:
    ready.listen()
    ready.ask("a hostile answer")
    begun, answer = ready.told
    assert begun == "Answering"
    assert "**" not in answer and "<script>alert(2)</script> bold click fine" in answer.replace(
        "[click](javascript:alert(3))", "click"
    )
    assert "Copy" not in answer
    assert ready.all("#announcer *") == []


def test_a_screen_reader_is_told_the_stages_of_a_load(ready: Page) -> None:
    ready.listen()
    ready.load_address("other")
    ready.wait_for("ready")
    assert ready.told == [
        "Opening the model", "Compiling GPU kernels", "Ready",
    ]  # fmt: skip
    live = "return document.querySelector('#loading').closest('[aria-live], output, [role]')"
    assert ready.js(live) is None


def test_a_discarded_answer_is_not_told(ready: Page) -> None:
    ready.send("go on for ever")
    wait_until(lambda: "word3" in ready.last_answer, 60, "a long answer begins")
    ready.one("#new-chat").click()
    assert ready.ask("Hello") == "You said: Hello"
    assert ready.text("#announcer") == "You said: Hello"


def test_examples_are_asked_with_one_click(ready: Page) -> None:
    example = ready.one("#examples button")
    question = example.text
    example.click()
    wait_until(lambda: not ready.shown("#welcome"), 60, "the welcome goes")
    ready.wait_for("ready")
    assert ready.last_answer == f"You said: {question}"


def test_the_keyboard_is_enough(page: Page, double_site: TestSite) -> None:
    page.open(double_site.url)
    page.wait_for("ready")
    focused = "return document.activeElement.id || document.activeElement.textContent"
    assert page.js(focused) == "prompt"
    page.type("one", Keys.SHIFT + Keys.ENTER + Keys.NULL, "two", Keys.ENTER)
    wait_until(lambda: page.answers == 1, 60, "an answer")
    assert page.text(".user .body") == "one\ntwo"

    page.type("go on for ever", Keys.ENTER)
    wait_until(lambda: "word3" in page.last_answer, 60, "a long answer begins")
    page.type(Keys.ESCAPE)
    page.wait_for("ready")
    assert "stopped" in page.text("#messages > li:last-child .foot")

    page.js("document.querySelector('.skip').focus()")
    order = []
    for _ in range(4):
        page.type(Keys.TAB)
        order.append(page.js(focused))
    assert order == ["chat-tab", "model-button", "new-chat", "settings-button"]
    page.type(Keys.ENTER)
    assert page.shown("#settings-dialog")
    assert page.js(focused) == "system"
    page.type(Keys.ESCAPE)
    assert not page.shown("#settings-dialog")
    assert page.js(focused) == "settings-button"


def test_stop_stops(ready: Page) -> None:
    ready.send("go on for ever")
    wait_until(lambda: "word3" in ready.last_answer, 60, "a long answer begins")
    ready.one("#stop").click()
    ready.wait_for("ready")
    said = ready.last_answer
    assert ready.ask("and now?") == "You said: and now?"
    assert said.startswith("word0 word1")
    assert said in ready.text("#messages")


def test_a_new_chat_in_the_middle_of_an_answer(ready: Page) -> None:
    ready.send("go on for ever")
    wait_until(lambda: "word3" in ready.last_answer, 60, "a long answer begins")
    ready.one("#new-chat").click()
    ready.wait_for("ready")
    assert ready.all("#messages > li") == []
    assert ready.shown("#welcome")
    assert ready.ask("Hello") == "You said: Hello"


def test_the_other_tab_says_why_it_does_not_open(ready: Page) -> None:
    tab = ready.one("#documents-tab")
    assert not tab.get_attribute("title")
    ready.send("go on for ever")
    ready.wait_for("answering")
    assert tab.get_attribute("aria-disabled") == "true"
    assert tab.get_attribute("title") == "This tab opens once the answer is over."
    tab.click()
    assert "once the answer is over" in ready.text("#notice")
    assert ready.shown("#chat")
    ready.click_notice("OK")
    ready.one("#chat-tab").send_keys(Keys.ARROW_RIGHT)
    assert (ready.shown("#chat"), ready.shown("#notice")) == (True, True)
    assert ready.focused == "chat-tab"
    ready.one("#stop").click()
    ready.wait_for("ready")
    ready.click_action("edit")
    assert tab.get_attribute("title").startswith("This tab opens once the edited question is sent")
    ready.one("#cancel-edit").click()
    assert tab.get_attribute("aria-disabled") is None
    assert not tab.get_attribute("title")
    tab.click()
    assert ready.shown("#documents")
    ready.one("#chat-tab").click()


def test_a_chat_that_was_cleared_comes_back(ready: Page) -> None:
    ready.ask("One")
    ready.ask("Two")
    ready.one("#new-chat").click()
    assert ready.shown("#cleared") and ready.shown("#welcome")
    ready.one("#documents-tab").click()
    assert not ready.shown("#cleared")
    ready.one("#chat-tab").click()
    ready.one("#bring-back").click()
    assert ready.questions == ["One", "Two"] and ready.last_answer == "You said: Two"
    assert ready.focused == "prompt"
    assert not ready.shown("#cleared") and not ready.shown("#welcome")
    assert ready.ask("Three") == "You said: Three"
    ready.one("#new-chat").click()
    ready.ask("Four")
    assert not ready.shown("#cleared")
    ready.one("#new-chat").click()
    ready.one("#bring-back").click()
    assert ready.questions == ["Four"]


def test_an_answer_that_was_cleared_comes_back_as_far_as_it_came(ready: Page) -> None:
    ready.send("go on for ever")
    wait_until(lambda: "word3" in ready.last_answer, 60, "a long answer begins")
    ready.one("#new-chat").click()
    ready.wait_for("ready")
    ready.one("#bring-back").click()
    assert ready.last_answer.startswith("word0 word1 word2 word3")
    assert ready.last_note == "stopped"
    assert ready.ask("Hello") == "You said: Hello"


def test_settings_on_a_telephone_bring_up_no_keyboard(ready: Page) -> None:
    ready.one("#settings-button").click()
    assert ready.focused == "system"
    ready.type(Keys.ESCAPE)
    ready.cdp("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        ready.one("#settings-button").click()
        assert ready.js("return document.activeElement.ariaLabel") == "Close"
        ready.type(Keys.ESCAPE)
    finally:
        ready.cdp("Emulation.setTouchEmulationEnabled", enabled=False)


def test_settings_reach_the_engine(ready: Page) -> None:
    ready.one("#settings-button").click()
    slider = ready.one("#temperature")
    slider.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 10)
    ready.one("#max-tokens").send_keys(Keys.CONTROL + "a" + Keys.NULL, "99")
    assert ready.text("#temperature-value") == "0.50"
    ready.one("#settings-dialog .head button").click()
    assert ready.ask("which options?") == "temperature 0.5, 99 tokens"
    ready.screenshot("settings")
    ready.js("document.querySelector('#reset-settings').click()")
    assert ready.ask("which options?") == "temperature 0.2, 512 tokens"


def test_what_is_filled_in_of_sampling_reaches_the_engine(ready: Page) -> None:
    for field, value in (("top-p", "0.9"), ("top-k", "40"), ("seed", "7"), ("min-p", "3")):
        ready.set_field(f"#{field}", value)
    drawn = ", top_p 0.9, top_k 40, seed 7"  # and no min_p of 3
    assert ready.ask("which options?") == f"temperature 0.2, 512 tokens{drawn}"
    ready.driver.refresh()
    ready.wait_for("ready")
    assert ready.js("return document.querySelector('#sampling').open")
    assert ready.ask("which options?") == f"temperature 0.2, 512 tokens{drawn}"
    ready.one("#settings-button").click()
    ready.screenshot("settings-sampling")
    ready.one("#reset-settings").click()
    ready.type(Keys.ESCAPE)
    assert ready.ask("which options?") == "temperature 0.2, 512 tokens"


@pytest.mark.parametrize(
    ("typed", "used", "shown"),
    [
        ("0", 1, "1 token"),
        ("-5", 1, "1 token"),
        ("", 512, "512 tokens"),
        ("99", 99, "99 tokens"),
        ("1e30", 1024, "1,024 tokens"),
    ],
)
def test_the_longest_answer_is_what_the_model_can_give(
    ready: Page, typed: str, used: int, shown: str
) -> None:
    ready.set_field("#max-tokens", typed)
    assert ready.text("#max-tokens-value") == shown
    assert ready.one("#max-tokens").get_property("value") == str(used)
    assert ready.ask("which options?").endswith(f", {used} tokens")
    ready.js("document.querySelector('#reset-settings').click()")


def test_hostile_text_stays_text(ready: Page) -> None:
    ready.ask("a hostile answer")
    made = "return [...document.querySelectorAll('.assistant .body *')].map((e) => e.localName)"
    assert set(ready.js(made)) <= {
        *("h3", "p", "strong", "a", "div", "table", "thead", "tbody", "tr", "th", "td"),
        *("figure", "figcaption", "span", "button", "pre", "code"),
    }
    (link,) = ready.all(".assistant .body a")
    assert link.get_attribute("href") == "https://example.org/"
    assert link.get_attribute("rel") == "noopener noreferrer nofollow"
    assert ready.text(".assistant .body h3") == "<img src=x onerror=alert(1)>"
    assert ready.text(".assistant .body pre") == "<script>alert(4)</script>"


def test_a_lost_device_can_be_recovered(ready: Page) -> None:
    ready.ask("Hello")
    ready.send("lose the device")
    wait_until(lambda: ready.state == "lost", 60, "the device is lost")
    assert ready.text("#notice-title") == "The graphics device was lost"
    assert not ready.one("#send").is_enabled()
    assert "destroyed" in ready.text("#notice-message")
    ready.screenshot("device-lost")
    ready.click_notice("Start the model again")
    ready.wait_for("ready")
    assert not ready.shown("#notice")
    assert ready.take_draft() == "lose the device"
    assert ready.ask("still there?") == "You said: still there?"
    assert "You said: Hello" in ready.text("#messages")


def test_a_defect_is_told_and_survived(ready: Page) -> None:
    ready.send("a defect, please")
    wait_until(lambda: ready.shown("#notice"), 60, "a notice")
    assert "KeyError: 'defect'" in ready.text("#notice")
    labels = [button.text for button in ready.all("#notice-actions button")]
    assert labels == ["OK", "New chat"], "the conversation is not given up first"
    ready.click_notice("OK")
    assert not ready.shown("#notice")
    ready.complaints()  # the traceback is in the console on purpose
    assert ready.take_draft() == "a defect, please"
    assert ready.ask("Hello") == "You said: Hello"


CONTRAST = """
  const light = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const [selector, around] = arguments;
  const edge = light(getComputedStyle(document.querySelector(selector)).borderTopColor);
  const ground = light(getComputedStyle(document.querySelector(around)).backgroundColor);
  return Math.max(edge, ground) / Math.min(edge, ground);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_edges_of_fields_can_be_seen(ready: Page, scheme: str) -> None:
    ready.resize(DESKTOP, scheme)
    ready.js("document.activeElement.blur()")
    assert ready.js(CONTRAST, "#composer", "body") >= 3
    for field in ("#address", "#context-length", "#system", "#max-tokens"):
        for ground in (field, "#settings-dialog"):
            assert ready.js(CONTRAST, field, ground) >= 3, (field, ground)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(ready: Page, scheme: str) -> None:
    ready.resize(PHONE, scheme)

    def sideways() -> list[str]:
        return list(
            ready.js("""
              const wide = [...document.querySelectorAll("body, body *")].filter((element) =>
                element.checkVisibility() && !element.closest("pre, .table, .unseen, .skip") &&
                element.getBoundingClientRect().right > innerWidth + 0.5);
              return wide.map((element) => element.id || element.outerHTML.slice(0, 80));
            """)
        )

    assert sideways() == []
    ready.screenshot(f"phone-welcome-{scheme}")
    ready.ask("a hostile answer")
    ready.ask("averyveryverylongwordwithoutanyplacetobreakitatallbecauseitisoneword" * 3)
    assert sideways() == []
    ready.screenshot(f"phone-chat-{scheme}")
    for name in ("model", "settings"):
        ready.one(f"#{name}-button").click()
        assert sideways() == []
        ready.screenshot(f"phone-{name}-{scheme}")
        ready.js(f"document.querySelector('#{name}-dialog').close()")
    ready.load_address("slow")
    wait_until(lambda: "50 MB/s" in ready.text("#loading-text"), 60, "progress")
    assert sideways() == []
    ready.one("#cancel").click()
    wait_until(lambda: ready.shown("#notice"), 60, "the load ends")
    assert sideways() == []
    assert ready.one("#send").is_displayed()
    ready.click_notice("Back to Pocket model")
    ready.wait_for("ready")


def test_a_page_can_be_asked_by_its_address(page: Page, double_site: TestSite) -> None:
    page.open(f"{double_site.url}?ask=by%20address&report=/told")
    report = double_site.wait_for_report("/told", 60)
    assert report["reply"] == "You said: by address"
    assert report["usage"] == {"prompt_tokens": 20, "completion_tokens": 3, "cached_tokens": 12}
    assert report["info"]["architecture"] == "fake"


def test_a_report_stays_on_the_page_s_own_origin(page: Page, double_site: TestSite) -> None:
    page.open(f"{double_site.url}?ask=hello&report=//127.0.0.1:{double_site.port}/elsewhere")
    wait_until(lambda: page.answers == 1, 60, "an answer")
    assert double_site.reports == {}
