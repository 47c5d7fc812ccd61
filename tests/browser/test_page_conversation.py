"""Editing, focus, selection and what is in view, around a test double of the engine."""

from __future__ import annotations

import pytest
from page import DESKTOP, PHONE, Page, wait_until
from selenium.webdriver.common.keys import Keys
from served import TestSite

AT_THE_END = """
  const { scrollTop, clientHeight, scrollHeight } = document.querySelector("#scroller");
  return scrollHeight - scrollTop - clientHeight < 2;
"""


def fill(page: Page) -> None:
    """A conversation of several screens."""
    for number in range(4):
        page.ask("\n".join(["a long question"] * 8) + str(number))


# --- reasoning


def test_reasoning_is_shown_beside_the_answer(ready: Page) -> None:
    ready.ask("think of it")
    shown = "return document.querySelector('.thought > div').textContent"
    assert ready.js(shown) == "Hm, <b>so</b>\nit is."
    assert not ready.js("return document.querySelector('.thought').open")
    assert ready.text(".thought > summary") == "Thoughts"
    assert "Hm" not in ready.js("return document.querySelector('.assistant > .body').textContent")


# --- editing


def test_an_answer_is_given_again(ready: Page) -> None:
    ready.ask("Hello")
    before = ready.answers
    ready.click_action("regenerate")
    wait_until(lambda: ready.answers > before and ready.state == "ready", 60, "the second answer")
    assert len(ready.all("#messages > li")) == 2


def test_an_edited_question_replaces_the_old_one_when_it_is_sent(ready: Page) -> None:
    ready.ask("Hello")
    ready.one("#prompt").send_keys("a draft")
    ready.click_action("edit")
    assert ready.draft == "Hello"
    assert ready.questions == ["Hello"]
    assert ready.shown("#editing")
    ready.screenshot("editing")
    assert ready.ask(" again") == "You said: Hello again"
    assert ready.questions == ["Hello again"]
    assert ready.draft == "a draft"
    assert not ready.shown("#editing")


@pytest.mark.parametrize("by", ["key", "button"])
def test_an_edit_can_be_cancelled(ready: Page, by: str) -> None:
    ready.ask("Hello")
    ready.one("#prompt").send_keys("a draft")
    ready.click_action("edit")
    ready.type(" again")
    if by == "key":
        ready.type(Keys.ESCAPE)
    else:
        ready.one("#cancel-edit").click()
    assert ready.draft == "a draft"
    assert ready.questions == ["Hello"]
    assert ready.last_answer == "You said: Hello"
    assert ready.all("[data-edited]") == []
    assert ready.focused == "prompt"


def test_an_edited_question_that_is_refused_is_edited_further(ready: Page) -> None:
    ready.ask("Hello")
    ready.click_action("edit")
    ready.send(", this is too long")
    wait_until(lambda: ready.shown("#notice"), 60, "a notice")
    assert ready.draft == "Hello, this is too long"
    assert ready.questions == ["Hello"]
    assert ready.shown("#editing")
    ready.click_notice("New chat")
    assert ready.draft == "Hello, this is too long"
    assert not ready.shown("#editing")


# --- focus


def test_the_focus_is_never_lost(ready: Page) -> None:
    ready.one("#examples button").send_keys(Keys.ENTER)
    ready.wait_for("ready")
    assert ready.focused == "prompt"
    ready.js("document.querySelector('[data-action=regenerate]').focus()")
    ready.type(Keys.ENTER)
    wait_until(lambda: ready.state == "ready", 60, "the answer")
    assert ready.focused == "prompt"
    ready.load_address("slow")
    ready.one("#cancel").send_keys(Keys.ENTER)
    wait_until(lambda: ready.state == "empty", 60, "the load ends")
    assert ready.focused == "prompt"
    for label in ("Try again", "Back to Pocket model"):
        ready.one(f"#notice-actions button:nth-child({'2' if 'Try' in label else '1'})").send_keys(
            Keys.ENTER
        )
        assert ready.focused == "prompt", label
        if label == "Try again":
            ready.one("#cancel").click()
            wait_until(lambda: ready.state == "empty", 60, "the load ends")
    ready.wait_for("ready")


def test_the_focus_is_on_stop_while_an_answer_is_given_again(ready: Page) -> None:
    ready.ask("be late")
    ready.click_action("regenerate")
    assert ready.focused == "stop"
    ready.wait_for("ready")
    assert ready.focused == "prompt"


# --- what is in view


@pytest.mark.parametrize("size", [PHONE, (320, 568)])
def test_the_page_opens_at_its_headline(
    page: Page, double_site: TestSite, size: tuple[int, int]
) -> None:
    page.resize(size)
    page.open(double_site.url)
    top = "return document.querySelector('#scroller').scrollTop"
    for state in ("starting", "ready"):
        page.wait_for(state)
        assert page.js(top) == 0
    fill(page)
    assert page.js(top) > 0
    page.one("#new-chat").click()
    assert page.js(top) == 0


def test_the_end_stays_in_view_when_a_notice_comes(ready: Page) -> None:
    fill(ready)
    wait_until(lambda: ready.js(AT_THE_END), 60, "the end is in view")
    ready.js("""
      const prompt = document.querySelector("#prompt");
      prompt.value = "too long";
      document.querySelector("#send").click();
      prompt.value = "a draft";
    """)
    wait_until(lambda: ready.shown("#notice"), 60, "a notice")
    wait_until(lambda: ready.js(AT_THE_END), 60, "the end is in view")


def test_the_end_stays_in_view_when_a_waiting_question_goes_back(ready: Page) -> None:
    ready.resize((320, 568))
    fill(ready)
    ready.load_address("slow")
    ready.send("in vain")
    wait_until(lambda: ready.js(AT_THE_END), 60, "the end is in view")
    ready.one("#cancel").click()
    wait_until(lambda: ready.state == "empty", 60, "the load ends")
    wait_until(lambda: ready.js(AT_THE_END), 60, "the end is in view")


def test_who_scrolls_up_stays_there(ready: Page) -> None:
    fill(ready)
    ready.send("go on for ever")
    wait_until(lambda: "word99 " in ready.last_answer, 60, "a long answer")
    ready.js("document.querySelector('#scroller').scrollTop = 100")
    wait_until(lambda: "word300 " in ready.last_answer, 60, "a longer answer")
    assert ready.js("return document.querySelector('#scroller').scrollTop") == 100
    ready.one("#stop").click()
    ready.wait_for("ready")


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("by", ["key", "button"])
def test_a_button_leads_back_to_the_end(ready: Page, by: str, size: tuple[int, int]) -> None:
    ready.resize(size)
    fill(ready)
    ready.send("go on for ever")
    wait_until(lambda: "word99 " in ready.last_answer, 60, "a long answer")
    assert not ready.shown("#to-end")
    ready.js("document.querySelector('#scroller').scrollTop = 100")
    wait_until(lambda: ready.shown("#to-end"), 60, "the button")
    assert ready.one("#to-end").accessible_name == "To the end"
    ready.screenshot(f"to-end-{size[0]}")
    if by == "key":
        ready.one("#prompt").send_keys(Keys.SHIFT, Keys.TAB)
        assert ready.focused == "to-end"
        ready.type(Keys.ENTER)
        assert ready.focused == "stop"
    else:
        ready.one("#to-end").click()
    assert not ready.shown("#to-end")
    heard = len(ready.last_answer)
    wait_until(lambda: len(ready.last_answer) > heard + 400, 60, "a longer answer")
    wait_until(lambda: ready.js(AT_THE_END), 60, "the end is in view")
    ready.one("#stop").click()
    ready.wait_for("ready")
    up = "document.querySelector('#scroller').scrollTop = 100"  # its end may still come
    wait_until(lambda: ready.js(up) or ready.shown("#to-end"), 20, "the button")
    ready.one("#new-chat").click()
    wait_until(lambda: not ready.shown("#to-end"), 60, "there is nothing to see")


def test_short_cells_of_a_table_stay_on_one_line(ready: Page) -> None:
    ready.ask("a table")
    lines = """
      return [...document.querySelectorAll("#messages td")].map((cell) => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size;
      });
    """
    for size in (DESKTOP, PHONE):
        ready.resize(size)
        *short, long = ready.js(lines)
        assert short == [1, 1, 1]
        assert long > 1


def test_the_actions_of_a_notice_are_in_view_on_the_smallest_screens(ready: Page) -> None:
    ready.resize((320, 568))
    ready.load_address("big")
    wait_until(lambda: ready.state == "empty", 60, "the load fails")
    ready.js("document.querySelector('#notice-details').open = true")
    for button in ready.all("#notice-actions button"):
        rect = button.rect
        assert rect["y"] + rect["height"] <= ready.one("#composer").rect["y"]
        hit = "const [x, y] = arguments; return document.elementFromPoint(x, y).textContent"
        x, y = rect["x"] + rect["width"] / 2, rect["y"] + rect["height"] / 2
        assert ready.js(hit, x, y) == button.text
    ready.screenshot("notice-small")
    ready.click_notice("Back to Pocket model")
    ready.wait_for("ready")


# --- selection and direction

SELECT = """
  const text = document.querySelector("#messages > li:last-child .body p").firstChild;
  getSelection().setBaseAndExtent(text, 0, text, 11);
"""


def test_what_is_selected_in_a_growing_answer_stays_selected(ready: Page) -> None:
    ready.send("go on for ever")
    wait_until(lambda: "word9 " in ready.last_answer, 60, "a long answer begins")
    ready.js(SELECT)
    shown = ready.last_answer
    before = ready.js("return performance.now()")
    wait_until(lambda: ready.js("return performance.now()") > before + 300, 60, "a while")
    assert ready.js("return getSelection().toString()") == "word0 word1"
    assert ready.last_answer == shown
    ready.one("#stop").click()
    ready.wait_for("ready")
    assert ready.js("return getSelection().toString()") in ("word0 word1", "")
    ready.js("getSelection().removeAllRanges()")
    wait_until(lambda: len(ready.last_answer) > len(shown), 60, "the rest of the answer is shown")


def test_right_to_left_text_is_written_and_shown_so(ready: Page) -> None:
    ready.one("#prompt").send_keys("שלום")
    direction = "return getComputedStyle(document.querySelector(arguments[0])).direction"
    assert ready.js(direction, "#prompt") == "rtl"
    ready.send("")
    wait_until(lambda: ready.last_answer == "You said: שלום", 60, "the answer")
    assert ready.js(direction, ".user > .body") == "rtl"
    assert ready.js(direction, ".assistant > .body > p") == "ltr"
    assert ready.one("#system").get_attribute("dir") == "auto"
