"""The examples of pages that others may write."""

from __future__ import annotations

import pytest
from page import Page, wait_until
from served import TestSite


def test_a_page_with_a_script_element_loads_the_model(page: Page, site: TestSite) -> None:
    page.driver.get(f"{site.url}examples/script.html")
    wait_until(lambda: page.text("#answer") == "Opening the model", 60, "Python has started")


@pytest.mark.parametrize("name", ["javascript", "openai", "pyscript", "script"])
def test_an_example_is_dark_where_that_is_wanted(page: Page, site: TestSite, name: str) -> None:
    page.driver.get(f"{site.url}examples/{name}.html")
    scheme = "return getComputedStyle(document.documentElement).colorScheme"
    assert page.js(scheme) == "light dark"


def test_a_pyscript_page_answers(page: Page, site: TestSite) -> None:
    page.driver.get(f"{site.url}examples/pyscript.html")
    wait_until(page.one("#ask").is_enabled, 200, "the model is loaded")
    assert page.text("#answer") == "Ready"
    page.one("#ask").click()
    wait_until(lambda: page.text("#answer").endswith("."), 60, "an answer is complete")
    assert page.text("#answer") == "The capital of Japan is Tokyo."


def test_openai_s_client_asks_the_engine_of_its_own_page(page: Page, site: TestSite) -> None:
    page.driver.get(f"{site.url}examples/openai.html")
    wait_until(page.one("#ask").is_enabled, 100, "the model is loaded")
    page.one("#ask").click()
    wait_until(lambda: page.text("#answer").endswith("."), 60, "an answer is complete")
    assert page.text("#answer") == "The capital of Japan is Tokyo."
    ended = page.driver.execute_async_script("""
      const done = arguments[0];
      (async () => {
        const answered = (await fetch("/v1/models")).status;
        await engine.unload();
        const refused = await client.models.list({ maxRetries: 0 }).catch(({ code }) => code);
        const closed = await engine.info().catch(({ name }) => name);
        done([answered, refused, closed]);
      })();
    """)
    assert ended == [200, "no_engine", "EngineClosedError"]
    page.complaints()  # the browser tells of the status 503
