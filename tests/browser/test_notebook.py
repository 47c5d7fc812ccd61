"""The quick-start notebook: well formed, and every cell runs, natively and in Pyodide."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import textwrap
from typing import Any

import pytest
from served import ROOT

NOTEBOOK = json.loads((ROOT / "demo" / "quickstart.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_it_is_a_clean_notebook_of_format_4_5() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    identifiers = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    for cell in NOTEBOOK["cells"]:
        keys = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            keys |= {"execution_count", "outputs"}
            assert (cell["execution_count"], cell["outputs"]) == (None, [])
        assert set(cell) == keys
        assert cell["metadata"] == {}


def check(printed: str) -> None:
    """What the cells must have printed, in whichever Python."""
    assert "Tokyo." in printed
    assert "get_weather {'city': 'Oslo'}" in printed and "12" in printed
    bars = [line for line in printed.splitlines() if "█" in line]
    assert bars, printed
    assert len(bars) >= 5, "several words are about as likely"
    assert all("'" in bar and "%" in bar for bar in bars)
    assert "a brave fox" in printed.splitlines()[-1]


async def test_every_cell_runs_natively() -> None:
    pytest.importorskip("wgpu")
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for cell in CODE:
            code = compile(cell, "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, names)
            if inspect.isawaitable(result):
                await result
    check(printed.getvalue())


def test_every_cell_runs_in_pyodide(pyodide: Any) -> None:
    cells = json.dumps(CODE)
    printed = pyodide.run_js(
        textwrap.dedent(f"""
        let printed = "";
        pyodide.setStdout({{ batched: (line) => (printed += line + "\\n") }});
        for (const cell of {cells}) await pyodide.runPythonAsync(cell);
        pyodide.setStdout();
        return printed;
        """)
    )
    check(printed)
