"""The JupyterLite site: the quick start from its first cell to its last, offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from page import Page, wait_until
from selenium.common.exceptions import WebDriverException
from served import TestSite

TALL = (1100, 3000)  # all cells at once: JupyterLab drops those out of sight

OUTPUTS = """
return [...document.querySelectorAll(".jp-OutputArea-output")]
  .map((output) => [output.dataset.mimeType.split(/[.]|text./).at(-1), output.innerText.trim()])
"""
PROMPTS = """
return [...document.querySelectorAll(".jp-CodeCell .jp-InputArea-prompt")]
  .map((prompt) => prompt.textContent)
"""


@pytest.fixture
def lite(dist: Path) -> Iterator[TestSite]:
    """The site as it ships."""
    if not (dist / "lite" / "index.html").is_file():
        pytest.fail("demo/dist/lite is missing: run `python build.py lite --no-serve` first")
    served = TestSite(dist / "lite")
    yield served
    served.close()


def click(page: Page, selector: str) -> None:
    """Click what may still have to appear, or to come out from under something."""

    def clicked() -> bool:
        try:
            page.one(selector).click()
        except WebDriverException:
            return False
        return True

    wait_until(clicked, 60, f"{selector} can be clicked")


def outputs(page: Page) -> list[tuple[str, str]]:
    """What stands below the cells: the kind of each output, and its text."""
    return [tuple(output) for output in page.js(OUTPUTS)]


def is_over(page: Page) -> bool:
    """Whether the last cell has run, or one failed."""
    failed = any(kind in ("error", "stderr") for kind, _ in outputs(page))
    return failed or page.js(PROMPTS)[-1].strip("[]:").isdigit()


def test_the_quick_start_runs_in_jupyterlite(page: Page, lite: TestSite) -> None:
    page.resize(TALL)
    page.driver.get(f"{lite.url}notebooks/index.html?path=quickstart.ipynb")
    click(page, ".lm-MenuBar-item:nth-child(4)")
    click(page, "[data-command='runmenu:run-all']")
    wait_until(lambda: is_over(page), 200, "the last cell has run")
    shown = outputs(page)
    texts = [text for _, text in shown]
    assert {kind for kind, _ in shown} == {"html", "plain", "markdown", "stdout"}, shown
    assert texts[0].startswith("Ready: 5.38 MB in ")
    assert texts[1] == "Pocket on swiftshader"
    assert texts[2].startswith("The capital of Japan is Tokyo.\n")
    assert texts[4].startswith("Once upon a time")
    assert [texts[5].split("\n")[0], texts[6].split("\n")[0]] == [
        "Nice to meet you, Ada!",
        "Your name is Ada.",
    ]
    assert texts[7].count("█") > 10
    assert "a brave fox" in texts[8]
