"""Markdown for notebooks: nothing of it may be fetched, and code stays as it was written.

Texts that renderers read differently were found by rendering random ones with markdown-it, marked 4
and 9 and JupyterLab's search for formulas; tests/browser/test_markdown.py renders more.
"""

from __future__ import annotations

import pytest

from webllm_py.api.inert import Inert
from webllm_py.api.responses import (
    ChatCompletion,
    ChatCompletionMessage,
    Choice,
    FunctionCall,
    ToolCall,
)

PICTURE = "![x](https://evil/?q=1)"
LINK = "[x](https://evil/?q=1)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"See {PICTURE}!", f"See {LINK}!"),
        ("![a `b`](c) ![a [b]](c)", "! [a `b`](c) ! [a [b]](c)"),
        (f"[{PICTURE}](https://b)", "[x](https://b)"),
        ("![x][1] ![1]\n\n[1]: https://evil", "! [x][1] ! [1]\n\n[1]\\: https://evil"),
        (rf"\{PICTURE} \\{PICTURE} !{PICTURE}", rf"\! {LINK} \\! {LINK} !! {LINK}"),
        ("<img src=x> </b> <!-- -->", "&lt;img src=x> &lt;/b> &lt;!-- -->"),
        (r"\<img> \\<img> 1 < 2", r"&lt;img> \\&lt;img> 1 < 2"),
        ("a<br>b <https://a.b/c> <BR/>", "a<br>b <https://a.b/c> <BR/>"),
        ("<https://a.b` x> ` <img>", "&lt;https://a.b` x> ` &lt;img>"),
        ("$a<b$, a<b; $n![k]$", "$a< b$, a&lt;b; $n! [k]$"),
        ("$$\na<b\n$$\na<b", "$$\na< b\n$$\na&lt;b"),
        (r"$\style{background:url(a)}{x} \\bbox[b:c]{d}$",
         r"$\ style{background:url(a)}{x} \\ bbox[b:c]{d}$"),
        ("a\r\rb\r\nc", "a\n\nb\nc"),
    ],
)  # fmt: skip
def test_pictures_become_links_and_html_text(text: str, shown: str) -> None:
    assert Inert()(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        f"```html\n<img src=x>\n\n{PICTURE}\n```\n\ntext",
        f"~~~\n{PICTURE}\n```\n~~~~ \n\n```\n<a>\n```",
        f"1. First:\n\n   ```js\n   {PICTURE}\n     <a>\n   ```\n\n2. Then",
        f"10. First:\n\n    ```js\n    $a {PICTURE}\n\n    ```",
        f"Text\n\n    {PICTURE}\n    <img>\n\ntext",
        f"A `{PICTURE}` and `<img>`, [a](b) `<a>`\n\n| `<b>` | c |",
        "用`<img>`标签",
    ],
)
def test_code_stays_as_it_is(text: str) -> None:
    assert Inert()(text) == text


@pytest.mark.parametrize(
    "text",
    [
        f"- a\n  ```\n{PICTURE}\n  ```",  # the item ends, and its code
        f"- ```\n  a\n  ```\n  {PICTURE}\n  ```",  # begins after the item's mark
        f"text\n2. ```\n   {PICTURE}\n   ```",  # no item: only 1 ends a paragraph
        f"> ```\n{PICTURE}\n```",
        f"```\n```~\n{PICTURE}\n```",  # marked: the end
        f"```\n```\t\n{PICTURE}\n```",
        f"$$\n```\n$$\n{PICTURE}\n```",
        f"``` \\begin{{a}}\n\\end{{a}} ` b\n{PICTURE}\n```",  # JupyterLab: one line, no fence
        f"~~~ $\n$ b\n{PICTURE}\n~~~",
        f"- $$ a\n\nb\n\n$$\n\n```\n$$\n{PICTURE}\n```",  # the item ends, and its formula
        f"$$ a\nb $$ c\n```\n$$\n{PICTURE}\n```",
        f"$$ a $$ b\n```\n$$\n{PICTURE}\n```",
        f"a $$ b\n```\n$$\n{PICTURE}\n```",
        f"1. > $$ a $$ b\n```\n$$\n{PICTURE}\n```",
        f"- a\n\n    {PICTURE}",  # the item's text
        f"a ` b\n\u2003\n`{PICTURE}`",  # no empty line
        f"| `a | {PICTURE} | b` |\n|-|-|-|",
        f"` {PICTURE}\n# `",  # two blocks
        f"a ` b\n` {PICTURE} `",
        f"\\` {PICTURE} `",
        f"`` {PICTURE} `",
        f"https://a/`x {PICTURE} `",  # marked: the address's
        f"[a](`b) {PICTURE} `",
        f'[a](b "`c") {PICTURE} `',
        f"~~a `b~~ {PICTURE} `c`",
        f"$`$ {PICTURE} `",
    ],
)
def test_what_only_some_take_for_code_is_made_inert(text: str) -> None:
    assert "![" not in Inert()(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # JupyterLab would take the end of the first code for a formula's.
        ("$5:\n```\n$a\n```\n$6\n```\n<a>\n```", "$5:\n\n```\n$a\n```\n\n$6\n\n```\n<a>\n```"),
        # marked would take the first lines for a heading.
        ("a\n```\n---\n<a>\n```", "a\n\n```\n---\n<a>\n```"),
        ("a\n \t\n```\n---\n<a>\n```", "a\n\n```\n---\n<a>\n```"),
        # And here for a paragraph.
        ("a\n    ```\n    <a>\n    ```", "a\n\n    ```\n    <a>\n    ```"),
    ],
)
def test_nothing_goes_on_into_code_or_out_of_it(text: str, shown: str) -> None:
    assert Inert()(text) == shown


def test_a_page_of_several_parts() -> None:
    """Code that one leaves open ends there; doubts of one are those of the next."""
    inert = Inert()
    assert inert("```\n<a>") == "```\n<a>\n```"
    assert inert("```\n<a>\n```") == "```\n<a>\n```"
    inert("> ```")
    assert inert("```\n<a>\n```") == "```\n&lt;a>\n```"


def test_long_texts_take_no_long_time() -> None:
    """Each of them has 200,000 characters; a notebook renders ten times a second."""
    for piece in ("![", "`", "[![a](", "](", "\\", "<a ", "$", "```\n", "1. "):
        Inert()(piece * (200_000 // len(piece)))


def test_answers_in_notebooks_are_inert() -> None:
    call = ToolCall("c1", FunctionCall(f'{{"a": "{PICTURE}"}}', "f"))
    thought = f"```\n<a>\u2028```\u2028{PICTURE}"
    message = ChatCompletionMessage(f"```\n{PICTURE}", None, "assistant", thought, [call])
    plain = ChatCompletionMessage(f"```\n{PICTURE}\n```\n{PICTURE}")
    reply = ChatCompletion("x", [Choice("stop", 0, message), Choice("stop", 1, plain)], 1, "m")
    shown = reply._repr_markdown_()
    assert shown.startswith(
        f"**Choice 0**\n\n> ```\n> <a>\u2028```\u2028{PICTURE}\n> ```"
        f"\n\n```\n{PICTURE}\n```\n\n```json\n"
    )
    assert f"**Choice 1**\n\n```\n{PICTURE}\n```\n\n{LINK}\n\n<sub>" in shown
    assert PICTURE in reply.choices[1].message.content
