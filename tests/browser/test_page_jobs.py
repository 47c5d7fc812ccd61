"""Loads and answers that overlap, fail or come to nothing, around a test double of the engine.

The double refuses two models at once, an unload while it answers, and turns that do not alternate.
"""

from __future__ import annotations

import pytest
from page import Page, wait_until
from selenium.webdriver.common.keys import Keys
from served import TestSite


def begin_long_answer(page: Page) -> None:
    page.send("go on for ever")
    wait_until(lambda: "word3" in page.last_answer, 60, "a long answer begins")


# --- one job ends another


def test_a_load_ends_the_answer_under_way(ready: Page) -> None:
    begin_long_answer(ready)
    ready.load_address("slow")
    assert ready.state == "loading"
    wait_until(lambda: ready.last_note.endswith("stopped"), 60, "the answer is stopped")
    wait_until(lambda: "MB of" in ready.text("#loading-text"), 60, "the load goes on")
    assert ready.state == "loading"
    assert not ready.shown("#notice")
    ready.load_address("other")
    ready.wait_for("ready")
    assert ready.last_answer.startswith("word0 word1")
    assert ready.ask("Hello") == "You said: Hello"


def test_a_load_ends_the_load_before_it(ready: Page) -> None:
    for name in ("slow", "other", "slow", "another"):
        ready.load_address(name)
        assert ready.text("#model-name") == name
    wait_until(lambda: "of 4.0 MB" in ready.text("#loading-text"), 60, "only the last load goes on")
    for name in ("slow", "another"):  # faster than the model before them is gone
        ready.js("""
          const address = document.querySelector("#address");
          address.value = arguments[0];
          address.form.requestSubmit();
        """, name)  # fmt: skip
    ready.wait_for("ready")
    assert ready.text("#model-name") == "another"
    assert ready.text("#model-summary").startswith("another · ")
    assert not ready.all("#pick-pocket[aria-current]")
    assert ready.ask("Hello") == "You said: Hello"


def test_another_model_is_chosen_before_the_first_is_there(
    page: Page, double_site: TestSite
) -> None:
    page.open(double_site.url)
    page.load_address("other")
    assert page.state == "starting"
    page.wait_for("ready")
    assert page.text("#model-name") == "other"
    assert page.text("#model-summary").startswith("other · ")


@pytest.mark.parametrize("milliseconds", [0, 1, 10, 100])
@pytest.mark.parametrize("question", ["go on for ever", "be late and go on for ever"])
def test_stop_is_never_lost(ready: Page, question: str, milliseconds: int) -> None:
    click = "document.querySelector(arguments[0]).click();"
    ready.one("#prompt").send_keys(question)
    ready.js(f"{click} setTimeout(() => document.querySelector('#stop').click(), arguments[1])",
             "#send", milliseconds)  # fmt: skip
    wait_until(lambda: ready.last_note.endswith("stopped"), 60, "the answer is stopped")
    assert ready.state == "ready"
    assert ready.ask("Hello") == "You said: Hello"


def test_a_question_in_a_new_chat_follows_the_old_answer_s_end(ready: Page) -> None:
    ready.one("#prompt").send_keys("be late and go on for ever")
    ready.js("""
      document.querySelector("#send").click();
      document.querySelector("#new-chat").click();
    """)
    assert ready.state == "ready"
    assert ready.ask("Hello") == "You said: Hello"
    assert ready.questions == ["Hello"]


def test_cancel_ends_a_load_whatever_it_waits_for(ready: Page) -> None:
    begin_long_answer(ready)
    ready.load_address("slow")
    ready.one("#cancel").click()
    wait_until(lambda: ready.state == "empty", 60, "the load ends")
    assert ready.text("#notice-title") == "Loading was cancelled"
    assert ready.last_note.endswith("stopped")
    ready.click_notice("Try again")
    wait_until(lambda: "MB of 200 MB" in ready.text("#loading-text"), 60, "the load begins anew")
    ready.one("#cancel").click()
    wait_until(lambda: ready.state == "empty", 60, "the load ends")
    ready.click_notice("Back to Pocket model")
    ready.wait_for("ready")
    assert ready.ask("Hello") == "You said: Hello"


# --- back to the model before


def test_a_typo_costs_no_model(ready: Page) -> None:
    ready.load_address("other")
    ready.wait_for("ready")
    ready.one("#prompt").send_keys("in vain")
    ready.js("""
      const address = document.querySelector("#address");
      address.value = "missing";
      address.form.requestSubmit();
      document.querySelector("#send").click();
    """)
    wait_until(lambda: ready.shown("#notice"), 60, "the load fails")
    assert (ready.state, ready.text("#model-name")) == ("ready", "other")
    assert ready.text("#model-summary").startswith("other · ")
    assert ready.take_draft() == "in vain" and ready.questions == []
    assert ready.text("#notice-text").endswith("other is still there.")
    labels = [button.text for button in ready.all("#notice-actions button")]
    assert labels == ["Try again", "Choose a model", "OK"]
    again = """
      document.querySelector("#notice-actions button").click();
      return document.querySelector("#model-name").textContent;
    """
    assert ready.js(again) == "missing"
    wait_until(lambda: ready.shown("#notice"), 60, "the load fails again")
    ready.click_notice("OK")
    assert ready.ask("Hello") == "You said: Hello"
    ready.send("lose the device")
    wait_until(lambda: ready.state == "lost", 60, "the device is lost")
    ready.click_notice("Start the model again")
    ready.wait_for("ready")
    assert ready.text("#model-name") == "other"
    ready.take_draft()


def test_a_name_of_the_hub_is_loaded_with_what_it_lacks(ready: Page) -> None:
    ready.load_address("nobody/nothing")
    wait_until(lambda: ready.shown("#notice"), 60, "the load fails")
    ready.click_notice("Load hf:nobody/nothing")
    summary = "hf:nobody/nothing · "
    wait_until(lambda: ready.text("#model-summary").startswith(summary), 60, "it is loaded")


def test_a_load_that_is_cancelled_at_once_costs_no_model(ready: Page) -> None:
    ready.js("""
      const address = document.querySelector("#address");
      address.value = "slow";
      address.form.requestSubmit();
      document.querySelector("#cancel").click();
    """)
    wait_until(lambda: ready.state != "loading", 60, "the load ends")
    assert (ready.state, ready.text("#model-name")) == ("ready", "Pocket model")
    assert not ready.shown("#notice")
    assert ready.ask("Hello") == "You said: Hello"


def test_a_model_that_was_lost_to_a_larger_one_comes_back(ready: Page) -> None:
    ready.load_address("other")
    ready.wait_for("ready")
    ready.load_address("big")
    wait_until(lambda: ready.state == "empty", 60, "the load fails")
    labels = [button.text for button in ready.all("#notice-actions button")]
    assert labels == ["Back to other", "Choose a model", "Use the pocket model"]
    ready.click_notice("Back to other")
    ready.wait_for("ready")
    assert ready.text("#model-summary").startswith("other · ")


def test_without_a_model_before_there_is_no_way_back(page: Page, double_site: TestSite) -> None:
    page.open(f"{double_site.url}?model=missing&ask=Hello")
    wait_until(lambda: page.state == "empty", 60, "the load fails")
    labels = [button.text for button in page.all("#notice-actions button")]
    assert labels == ["Try again", "Choose a model", "Use the pocket model"]
    assert page.draft == "Hello"


# --- questions that wait


def test_a_question_waits_for_the_model(page: Page, double_site: TestSite) -> None:
    page.open(double_site.url)
    page.send("Early")
    assert page.state == "starting"
    assert page.draft == ""
    assert page.questions == ["Early"]
    assert page.last_note == "waits for the model"
    assert not page.one("#send").is_enabled()
    page.one("#prompt").send_keys("half a thou", Keys.ENTER, "ght")
    wait_until(lambda: page.answers == 1, 60, "the early question is answered")
    assert page.last_answer == "You said: Early"
    assert page.take_draft() == "half a thought"


def test_a_waiting_question_outlives_the_choice_of_another_model(ready: Page) -> None:
    ready.load_address("slow")
    ready.send("patience")
    ready.load_address("other")
    wait_until(lambda: ready.last_answer == "You said: patience", 60, "the answer")


def test_a_waiting_question_comes_back_when_the_load_fails(ready: Page) -> None:
    ready.load_address("slow")
    ready.send("in vain")
    ready.one("#cancel").click()
    wait_until(lambda: ready.state == "empty", 60, "the load ends")
    assert ready.questions == []
    assert not ready.one("#send").is_enabled()
    assert ready.draft == "in vain"
    ready.click_notice("Back to Pocket model")
    ready.send("!")
    wait_until(lambda: ready.last_answer == "You said: in vain!", 60, "the answer")


def test_a_waiting_question_does_not_overwrite_a_draft(ready: Page) -> None:
    ready.load_address("slow")
    ready.send("in vain")
    ready.one("#prompt").send_keys("a draft")
    ready.one("#cancel").click()
    wait_until(lambda: ready.state == "empty", 60, "the load ends")
    assert ready.draft == "a draft"
    assert ready.questions == ["in vain"]
    assert ready.last_note == "not asked: the model was not loaded"


def test_a_waiting_question_is_taken_back(ready: Page) -> None:
    ready.load_address("slow")
    ready.send("too early")
    ready.one("#prompt").send_keys("a draft")
    ready.one("[data-action=take-back]").click()
    assert ready.draft == "too early\na draft"
    assert ready.questions == []
    ready.load_address("other")
    ready.wait_for("ready")
    assert ready.questions == []


# --- questions that come to nothing


@pytest.mark.parametrize("question", ["this is too long", "a defect"])
def test_a_refused_question_goes_back_and_is_not_asked_again(ready: Page, question: str) -> None:
    ready.ask("Hello")
    ready.send(question)
    wait_until(lambda: ready.shown("#notice"), 60, "a notice")
    assert ready.state == "ready"
    assert ready.draft == question
    assert ready.questions == ["Hello"]
    ready.take_draft()
    ready.complaints()  # of the defect the console has the traceback
    assert ready.ask("and now?") == "You said: and now?"
    assert not ready.shown("#notice")


def test_a_full_chat_can_be_left_with_the_question(ready: Page) -> None:
    ready.ask("Hello")
    ready.send("this is too long")
    wait_until(lambda: ready.shown("#notice"), 60, "a notice")
    assert ready.text("#notice-title") == "The conversation is longer than the model's context"
    ready.click_notice("New chat")
    assert not ready.shown("#notice")
    assert ready.questions == []
    assert ready.draft == "this is too long"


def test_a_refused_question_stays_where_a_draft_is_written(ready: Page) -> None:
    ready.js("""
      const prompt = document.querySelector("#prompt");
      prompt.value = "too long";
      document.querySelector("#send").click();
      prompt.value = "a draft";
    """)
    wait_until(lambda: ready.shown("#notice"), 60, "a notice")
    assert ready.draft == "a draft"
    assert ready.questions == ["too long"]
    assert ready.last_note == "The conversation is longer than the model's context"
    ready.take_draft()
    assert ready.ask("and now?") == "You said: and now?"


@pytest.mark.parametrize("question", ["say nothing", "be late"])
def test_a_question_without_an_answer_is_not_told_to_the_model(ready: Page, question: str) -> None:
    ready.ask("Hello")
    ready.send(question)
    if question == "be late":
        ready.one("#stop").click()
    ready.wait_for("ready")
    assert ready.questions == ["Hello", question]
    assert ready.last_answer == ""
    assert ready.ask("and now?") == "You said: and now?"


def test_an_answer_that_cannot_be_given_again_stays(ready: Page) -> None:
    ready.ask("be late")
    ready.one("[data-action=regenerate]").click()
    ready.one("#stop").click()
    ready.wait_for("ready")
    assert ready.last_answer == "You said: be late"
    assert ready.questions == ["be late"]
    assert ready.draft == ""


def test_a_refused_system_prompt_can_be_changed(ready: Page) -> None:
    ready.set_field("#system", "refused")
    ready.send("Hello")
    wait_until(lambda: ready.shown("#notice"), 60, "a notice")
    assert "System role not supported" in ready.text("#notice-text")
    ready.click_notice("Open the settings")
    ready.one("#system").clear()
    ready.type(Keys.ESCAPE)
    ready.send("")
    wait_until(lambda: ready.last_answer == "You said: Hello", 60, "the answer")


def test_why_an_answer_was_cut(ready: Page) -> None:
    ready.ask("cut this")
    assert ready.last_note.endswith("cut at the longest answer")
    ready.ask("fill this")
    assert ready.last_note.endswith("the context is full")
