"""The page's Markdown: what it makes of ordinary text, and that hostile text makes nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest
from page import Page
from served import TestSite

from webllm_py.api.inert import Inert

RENDER = """
  const [text, done] = arguments;
  import("/app/markdown.mjs").then(({ render }) => {
    const element = document.createElement("div");
    document.body.append(element);
    const start = performance.now();
    render(element, text);
    const names = [...element.querySelectorAll("*")].map((e) => e.localName);
    const attributes = [...element.querySelectorAll("*")].flatMap((e) =>
      [...e.attributes].map((a) => `${a.name}=${a.value}`));
    const html = element.innerHTML.replaceAll(' dir="auto"', "");
    const result = { html, text: element.textContent, names, attributes,
                     milliseconds: performance.now() - start };
    element.remove();
    done(result);
  });
"""


@pytest.fixture(scope="module")
def blank(tab: Page, site: TestSite) -> Page:
    """A page of the site's origin with nothing of the site on it."""
    site.overlay["/blank.html"] = b"<!doctype html><title>blank</title>"
    tab.driver.get(f"{site.url}blank.html")
    tab.js("window.alerts = []; window.alert = (text) => window.alerts.push(text)")
    return tab


def render(page: Page, text: str) -> Any:
    """What the renderer makes of a text."""
    return page.driver.execute_async_script(RENDER, text)


LEFT, RIGHT = (f'class="short" style="text-align: {side};"' for side in ("start", "right"))
LINK = 'target="_blank" rel="noopener noreferrer nofollow"'


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "<p>plain</p>"),
        ("one\n\ntwo\nlines", "<p>one</p><p>two<br>lines</p>"),
        ("**b** *i* ***both*** ~~d~~ `c*c*`",
         "<p><strong>b</strong> <em>i</em> <em><strong>both</strong></em> <del>d</del> "
         "<code>c*c*</code></p>"),
        ("**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"),
        ("2 * 3 * 4 = 24, snake_case_name", "<p>2 * 3 * 4 = 24, snake_case_name</p>"),
        ("a \\*star\\*", "<p>a *star*</p>"),
        ("**open", "<p>**open</p>"),
        ("# Title #", "<h3>Title</h3>"),
        ("###### deep", "<h6>deep</h6>"),
        ("#hashtag", "<p>#hashtag</p>"),
        ("- a\n- b\n  - c\n- d",
         "<ul><li><p>a</p></li><li><p>b</p><ul><li><p>c</p></li></ul></li><li><p>d</p></li></ul>"),
        ("3. x\n4. y", '<ol start="3"><li><p>x</p></li><li><p>y</p></li></ol>'),
        ("98. x\n99. y\n100. z",
         '<ol start="98" style="padding-inline-start: 4.5ch;"><li><p>x</p></li><li><p>y</p></li>'
         "<li><p>z</p></li></ol>"),
        ("1. x\n\n2. y", "<ol><li><p>x</p></li><li><p>y</p></li></ol>"),
        ("- [ ] x\n- [x] y\n-\n",
         '<ul><li class="task"><p>☐ x</p></li><li class="task"><p>☑ y</p></li><li></li></ul>'),
        ("It was\n1998. A year", "<p>It was<br>1998. A year</p>"),
        ("> q\n> r\n\nout", "<blockquote><p>q<br>r</p></blockquote><p>out</p>"),
        ("a\n\n---\n\nb", "<p>a</p><hr><p>b</p>"),
        ("[t](https://a.b/c_d_e)", f'<p><a href="https://a.b/c_d_e" {LINK}>t</a></p>'),
        ("[t](https://a.b/c_(d)_(e(f)))",
         f'<p><a href="https://a.b/c_(d)_(e(f))" {LINK}>t</a></p>'),
        ('([t](https://a.b/c "a (title)"))',
         f'<p>(<a href="https://a.b/c" {LINK}>t</a>)</p>'),
        ("[t](https://a.b/c and more)",
         f'<p>[t](<a href="https://a.b/c" {LINK}>https://a.b/c</a> and more)</p>'),
        ("(at https://a.b/c_(d), https://a.b/e_(f))",
         f'<p>(at <a href="https://a.b/c_(d)" {LINK}>https://a.b/c_(d)</a>, '
         f'<a href="https://a.b/e_(f)" {LINK}>https://a.b/e_(f)</a>)</p>'),
        ("![a](https://a.b/c.png) wow! [b]",
         f'<p><a href="https://a.b/c.png" {LINK}>a</a> wow! [b]</p>'),
        ("&lt;b&gt; &amp;amp; &#8364;&#x20AC; &no; AT&T",
         "<p>&lt;b&gt; &amp;amp; €€ &amp;no; AT&amp;T</p>"),
        ("**「本」**は、a<br>b <br/> <b>",
         "<p><strong>「本」</strong>は、a<br>b <br> &lt;b&gt;</p>"),
        ("[a]\n\n[a]: https://x.y/",  # what a name stands for is shown
         f'<p>[a]</p><p>[a]: <a href="https://x.y/" {LINK}>https://x.y/</a></p>'),
        ("see https://x.y/z.", f'<p>see <a href="https://x.y/z" {LINK}>https://x.y/z</a>.</p>'),
        ("a|b\n-|-|-\n1|2", "<p>a|b<br>-|-|-<br>1|2</p>"),  # two columns, a rule for three
        ("|a|b|\n|-|-:|\n|1|2|\n|3|",
         f'<div class="table"><table><thead><tr><th {LEFT}>a</th><th {RIGHT}>b</th></tr></thead>'
         f"<tbody><tr><td {LEFT}>1</td><td {RIGHT}>2</td></tr><tr><td {LEFT}>3</td>"
         f"<td {RIGHT}></td></tr></tbody></table></div>"),
        ("```py\nx = '<b>'\n\n```\nafter",
         '<figure class="code"><figcaption><span>py</span><button type="button" '
         'class="copy-code">Copy</button></figcaption><pre><code>x = \'&lt;b&gt;\'\n</code></pre>'
         "</figure><p>after</p>"),
        ("~~~\nnever closed",
         '<figure class="code"><figcaption><span>text</span><button type="button" '
         'class="copy-code">Copy</button></figcaption><pre><code>never closed</code></pre>'
         "</figure>"),
        ("ein Fuß, 日本語, 👩‍👩‍👧", "<p>ein Fuß, 日本語, 👩‍👩‍👧</p>"),
        ("", ""),
    ],
)  # fmt: skip
def test_ordinary_text(blank: Page, text: str, html: str) -> None:
    assert render(blank, text)["html"] == html


def test_every_block_but_code_has_the_direction_of_its_own_text(blank: Page) -> None:
    text = "שלום\n\n- אחת\n- two\n\nhello\n\n> ציטוט\n\n```\nx = 1\n```\n\n| א |\n|---|\n| ב |"
    directions = blank.driver.execute_async_script(
        """
        const [text, done] = arguments;
        import("/app/markdown.mjs").then(({ render }) => {
          const element = document.createElement("div");
          document.body.append(element);
          render(element, text);
          done([...element.children].map((e) => [e.localName, getComputedStyle(e).direction]));
          element.remove();
        });
        """,
        text,
    )
    assert directions == [
        ["p", "rtl"], ["ul", "rtl"], ["p", "ltr"], ["blockquote", "rtl"], ["figure", "ltr"],
        ["div", "rtl"],
    ]  # fmt: skip


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>body{display:none}</style><base href=//evil>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:msgbox)",
    "[x](//evil.example)",
    "[x](https://ok.example/\"onmouseover=\"alert(1))",
    "[x](https://ok.example 'onclick=alert(1)')",
    "![x](https://tracker.example/pixel.png)",
    "[![x](y)](javascript:alert(1))",
    "`<img src=x onerror=alert(1)>`",
    "```\"><img src=x onerror=alert(1)>\n</code></pre><script>alert(1)</script>\n```",
    "|<img src=x onerror=alert(1)>|\n|-|\n|<script>alert(1)</script>|",
    "- <img src=x onerror=alert(1)>\n> <script>alert(1)</script>",
    "# <a href=javascript:alert(1)>x</a>",
    "https://ok.example/<script>alert(1)</script>",
    "<!--<img src=--><img src=x onerror=alert(1)>-->",
    "\u202e<script>\u2028alert(1)</script>",
    "<template><b>x</b></template><math><mtext></form><form><mglyph><style></math>",
    "[x]: javascript:alert(1)\n\n[x] <javascript:alert(1)> <https://ok.example/\"onclick=alert(1)>",
]  # fmt: skip
ALLOWED = {
    *("p", "br", "strong", "em", "del", "code", "a", "ul", "ol", "li", "blockquote", "hr"),
    *("h3", "h4", "h5", "h6", "figure", "figcaption", "span", "button", "pre"),
    *("div", "table", "thead", "tbody", "tr", "th", "td"),
}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_no_elements(blank: Page, text: str) -> None:
    made = render(blank, text)
    assert set(made["names"]) <= ALLOWED
    for attribute in made["attributes"]:
        name, _, value = attribute.partition("=")
        assert name in {"href", "target", "rel", "class", "type", "start", "style", "dir"}
        if name == "href":
            assert value.startswith(("https://ok.example", "https://tracker.example"))
    assert blank.js("return window.alerts") == []


@pytest.mark.parametrize(
    "piece",
    ["*", "**", "_", "[", "`", "~~", "[a](", "> ", "- ", "*a ", "**a ", "](", "|", "\\", "#",
     "`a``b", "*a**b", "> - ", "1. ", "h", "https://", "|a", "a\n", "- a\n", "|a|\n|-|\n", "```\n",
     "&", "&#", "![", "$", "$a", "$ $", "\\(", "\\[ ",
     "> " * 200 + "\n", "[a]((", "[a](()", "https://a)", "h(", "  - a\n", "$$\n", "\\[\n",
     "\\[x^\n", "\\[\nx\n\n", "<br>", "**「", "[a]: b\n"],
)  # fmt: skip
def test_long_hostile_text_takes_no_longer_than_its_length(blank: Page, piece: str) -> None:
    made = render(blank, piece * (25_000 // len(piece)))
    assert made["milliseconds"] < 5_000  # measured: below 300, most of it the DOM


def test_streaming_ends_in_the_same_nodes_and_keeps_finished_blocks(blank: Page) -> None:
    text = (
        "# A\n\npara *one*\n\n```py\ncode\n```\n\n- a\n- [x] b\n  ```\n  c\n  ```\n\n> q\n> - r\n\n"
        "s\n===\n98. t\n1. u\n\n1. v\n\n   w\n\ny\n#y\n|a|\n|-|-\n\n    z\n\n    z\n\n"
        "| x | y |\n|---|--:|\n| 1 | `2` |\n| 3 |\n\nend\r\nof it\n\n"
    )
    streamed, kept = blank.driver.execute_async_script(
        """
        const [text, done] = arguments;
        import("/app/markdown.mjs").then(({ render }) => {
          const element = document.createElement("div");
          let first = null, kept = true;
          for (let end = 1; end <= text.length; end++) {
            render(element, text.slice(0, end));
            if (end === 20) first = element.firstChild;
            if (end > 20) kept &&= element.firstChild === first;
          }
          done([element.innerHTML.replaceAll(' dir="auto"', ""), kept]);
        });
        """,
        text,
    )
    assert streamed == render(blank, text)["html"]
    assert kept


@pytest.mark.parametrize(
    ("agent", "secure", "words"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0", True,
         "dom.webgpu.enabled"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/156.0.0.0 Safari/537.36", True, "Unsafe WebGPU Support"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/110.0.0.0 Safari/537.36 Edg/110.0", True, "since version 113"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/120.0.0.0 Mobile Safari/537.36", True, "Android 12"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, "
         "like Gecko) Version/18.0 Mobile/15E148 Safari/604.1", True, "version 26"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0", False, "http://localhost"),
        ("Something/1.0", True, "current Chrome, Edge, Firefox or Safari"),
    ],
)  # fmt: skip
def test_advice_fits_the_browser(blank: Page, agent: str, secure: bool, words: str) -> None:
    advice = blank.driver.execute_async_script(
        """
        const [agent, secure, done] = arguments;
        import("/app/problems.mjs").then(({ webgpuAdvice }) => done(webgpuAdvice(agent, secure)));
        """,
        agent,
        secure,
    )
    assert words in " ".join(advice)


# As notebooks show it, with HTML.
COUNT_IMAGES = """
  const [texts, done] = arguments;
  import("/markdown-it/markdown-it.esm.min.mjs").then(({ default: MarkdownIt }) => {
    const parser = new MarkdownIt({ html: true, linkify: true });
    done(texts.filter((text) => /<img/i.test(parser.render(text))));
  });
"""
STARTS = [*[""] * 8, " ", "   ", "    ", "\t", "> ", "- ", "1. ", "2. ", "10. "]
LINES = [
    *("", "", "```", "```", "````", "~~~", "```html", "```~", "``` ", "$$", "text", "---"),
    *("a `b` c", "a ` b", "`` a", "\\`", "<pre>", "<!--", "<https://a`b>", "[r]: evil", "![x][r]"),
    *("![x](evil)", "`![x](evil)`", "<img src=evil>", "`<img src=evil>`"),
    *("| a | b |", "|-|-|", "| `a | ![x](evil) | b` |"),
]


def test_no_image_is_left_of_what_notebooks_show(blank: Page) -> None:
    """Of random texts with pictures and half-open code, and there are some before."""
    chance = random.Random(7)
    texts = [
        "\n".join(chance.choice(STARTS) + chance.choice(LINES) for _ in range(chance.randint(2, 9)))
        for _ in range(4000)
    ]
    images = blank.driver.execute_async_script(COUNT_IMAGES, texts)
    inert = [Inert()(text) for text in texts]
    assert blank.driver.execute_async_script(COUNT_IMAGES, inert) == []
    assert len(images) > 500
    assert sum("`<img" in text or "\n<img" in text for text in inert) > 100  # code is kept
