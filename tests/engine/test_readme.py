"""The README's example, as a reader would run it."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import re
from pathlib import Path
from typing import Any

README = Path(__file__).parents[2] / "README.md"


async def test_the_notebook_example_runs() -> None:
    [example] = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    code = compile(example, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        result = eval(code, names)
        if inspect.isawaitable(result):
            await result
    assert printed.getvalue().endswith("Tokyo.")
    assert names["logits"].shape[1] == 2048
    assert names["logits"].dtype == "float32"


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^):]+)\)", README.read_text("utf-8"))
    assert len(links) >= 4
    assert [link for link in links if not (README.parent / link).exists()] == []
