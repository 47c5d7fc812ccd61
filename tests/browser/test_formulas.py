"""Mathematics in answers: what is drawn, what is none, what hostile TeX cannot make."""

from __future__ import annotations

from typing import Any

import pytest
from page import Page, wait_until
from served import TestSite

RENDER = """
  const [texts, done] = arguments;
  import("/app/markdown.mjs").then(({ render }) => {
    const element = document.createElement("div");
    document.body.replaceChildren(element);
    for (const text of texts) render(element, text);
    done(element.innerHTML);
  });
"""
# A displayed formula is written $$tex$$ here, one that is not drawn as !tex.
FOUND = """
  return [...document.querySelectorAll(".math")].map((element) => {
    const tex = element.querySelector("math") ? element.dataset.tex : `!${element.textContent}`;
    return element.localName === "div" ? `$$${tex}$$` : tex;
  });
"""


@pytest.fixture(scope="module")
def blank(tab: Page, site: TestSite) -> Page:
    """A page of the site's origin on which a formula was drawn, and so others are at once."""
    site.overlay["/blank.html"] = b"<!doctype html><title>blank</title>"
    tab.driver.get(f"{site.url}blank.html")
    tab.js("window.alerts = []; window.alert = (text) => window.alerts.push(text)")
    render(tab, "$x$")
    wait_until(lambda: tab.all("math"), 60, "Temml is fetched")
    return tab


def render(page: Page, *texts: str) -> Any:
    """What the renderer makes of a text, that it got in these states."""
    return page.driver.execute_async_script(RENDER, texts)


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("\\( a_1 * b_1 * c \\) and $$y_1*z$$, $a*b*c$; the $n$th, 设$x$为",
         ["a_1 * b_1 * c", "$$y_1*z$$", "a*b*c", "n", "x"]),
        ("so\n\\[\nx^2\n- y\n\\].\nand\n$$z$$", ["$$x^2\n- y.$$", "$$z$$"]),
        ("- a\n  \\[\n  x = 1\n  \\]\n> $$\n> y\n> $$\n\n| $a$ | b |\n|-|-|\n| \\(c\\) | $d|e$ |",
         ["$$x = 1$$", "$$y$$", "a", "c"]),
        ("costs $5 and $10, $7-$8, US$9/A$9, 5$ or 6$, ($1), **$2**/**$3**, \\$4 or \\$5", []),
        ("\\[1\\] and \\[sic\\], $HOME/$PATH, $ x $, $$ $$, $x", []),
        ("`$x$` and\n```\n$$y$$\n\\[ z^2 \\]\n```\n", []),
        ("$\\frac{1}{$ and \\(\\nosuch{x}\\), \\(\\ref{a}\\)",
         ["!\\frac{1}{", "!\\nosuch{x}", "!\\ref{a}"]),
        ("$$\nx_1", ["$$!x_1$$"]),  # may yet be closed
        ("$$\nx_1\n\ny\n$$ is much", []),
    ],
)  # fmt: skip
def test_what_is_mathematics(blank: Page, text: str, formulas: list[str]) -> None:
    html = render(blank, text)
    assert blank.js(FOUND) == formulas
    states = [text[:end] for end in range(len(text) + 1)]
    assert render(blank, *states) == html


@pytest.mark.parametrize(
    "tex",
    [
        "\\href{javascript:alert(1)}{x}", "\\url{javascript:alert(1)}", "\\ref{messages}",
        "\\includegraphics{https://tracker.example/x.png}", "\\class{skip}{x}", "\\id{prompt}{x}",
        "\\style{position:fixed}{x}", "\\data{x=y}{x}", "x \\label{prompt} \\tag{1}", "\\ref{a} x",
        "\\text{<img src=x onerror=alert(1)>}", "\\color{red;background:url(//evil)}x",
        "\\def\\a{\\a\\a}\\a", "{" * 20_000, "\\rule{9999em}{9999em}", "\\hspace{-9999em}x",
    ],
)  # fmt: skip
def test_hostile_tex_makes_mathml_at_most(blank: Page, tex: str) -> None:
    render(blank, f"${tex}$\n\n$${tex}$$\n\nend")
    made = blank.js("""
        const inside = [...document.querySelectorAll(".math *")];
        const foreign = inside.filter(({ namespaceURI }) => !namespaceURI.endsWith("MathML"));
        return {
          names: foreign.map(({ localName }) => localName),
          attributes: inside.flatMap((e) => [...e.attributes].map(({ name }) => name)),
          size: Math.max(...inside.map((e) => e.getBoundingClientRect().width)),
        };
        """)
    assert set(made["names"]) <= {"code"}
    assert not {"id", "href", "src", "onerror"} & set(made["attributes"])
    assert made["size"] < 200_000 if tex[0] == "{" else made["size"] < 2_000
    assert blank.js("return window.alerts") == []


def test_what_is_copied_has_the_tex(blank: Page) -> None:
    render(blank, "Some **bold** text, $x^2$\n\n\\[ y_1 \\]\n\nend")
    copied = blank.js("""
        const math = document.querySelectorAll("math")[1].querySelector("mi").firstChild;
        const range = document.createRange();
        range.setStart(document.querySelector("p").firstChild, 0);
        range.setEnd(math, 1);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        const event = new ClipboardEvent("copy", { clipboardData: new DataTransfer(), bubbles: true,
                                                   cancelable: true });
        document.body.dispatchEvent(event);
        return [event.clipboardData.getData("text/plain"), event.defaultPrevented];
        """)
    assert copied == ["Some bold text, $x^2$\n\n$$y_1$$", True]
