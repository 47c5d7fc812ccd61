"""The notebooks: well formed, and every cell runs in IPython, on the GPU of this machine.

The quick start runs in JupyterLite as well: tests/browser/test_lite.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

DEMO = Path(__file__).parents[2] / "demo"
NOTEBOOKS = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DEMO.glob("*.ipynb"))
}


async def run(shell: InteractiveShell, name: str) -> str:
    """Run a notebook; what stands below its cells, as text."""
    shown = []
    for cell in NOTEBOOKS[name]["cells"]:
        if cell["cell_type"] == "code":
            code = "".join(cell["source"])
            with capture_output() as captured:
                result = await shell.run_cell_async(
                    code, transformed_cell=shell.transform_cell(code)
                )
            result.raise_error()
            assert captured.stderr == ""
            shown += [captured.stdout, *(text_of(output.data) for output in captured.outputs)]
    return "\n".join(shown)


def text_of(bundle: dict[str, Any]) -> str:
    """The best of the forms of an output."""
    return str(bundle.get("text/markdown") or bundle["text/plain"])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_is_a_clean_notebook_of_format_4_5(name: str) -> None:
    notebook = NOTEBOOKS[name]
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    identifiers = [cell["id"] for cell in notebook["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    for cell in notebook["cells"]:
        keys = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            keys |= {"execution_count", "outputs"}
            assert (cell["execution_count"], cell["outputs"]) == (None, [])
        assert set(cell) == keys
        assert cell["metadata"] == {}


async def test_the_quick_start_runs(shell: InteractiveShell) -> None:
    shown = await run(shell, "quickstart")
    assert "The capital of Japan is Tokyo." in shown
    assert "Nice to meet you, Ada!" in shown and "Your name is Ada." in shown
    bars = [line for line in shown.splitlines() if "█" in line]
    assert len(bars) >= 5, "several words are about as likely"
    assert all("'" in bar and "%" in bar for bar in bars)
    assert "a brave fox" in shown.split(bars[-1])[1]


async def test_the_notebook_about_forms_and_tools_runs(shell: InteractiveShell) -> None:
    shown = await run(shell, "structured")
    assert "{'name': 'Yusuf', 'age': 41, 'city': 'Ashgabat', 'job': 'clerk'}" in shown
    assert "17 + 25 = 42\n" in shown
    assert "get_weather({'city': 'Oslo'})\nIt is sunny in Oslo" in shown
    assert "{'kitchen': 'on'}" in shown


async def test_the_notebook_about_the_open_box_runs(shell: InteractiveShell) -> None:
    shown = await run(shell, "open_box")
    lens = [line for line in shown.splitlines() if line.startswith("after ")]
    assert len(lens) == 9 and "' T' " in lens[-1] and "' is' " in lens[0]
    assert "to the name\n" in shown
    picture = [line for line in shown.splitlines() if line.endswith("@@")]
    assert picture, "the first position can only look at itself"
    drawn = shell.user_ns["AttentionMap"](["a"], [[1]])._repr_html_()
    assert "currentColor" in drawn, "words can be read on a dark page"
    steered, plain = (line for line in shown.splitlines() if line.startswith(("steered", "plain")))
    assert steered.partition(":")[2] != plain.partition(":")[2]
    assert "24 tokens; cached: 24" in shown


async def test_the_notebook_about_documents_runs(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBLLM_PY_MODELS", str(tmp_path))
    shown = await run(shell, "ask_documents")
    assert "handbook.md in 3 passages\n" in shown
    assert "handbook.md, Opening hours: The museum opens at 10." in shown
    assert "The key is under the chair.\nSource: handbook.md, The building\n" in shown
    assert "Anna lives in Oslo. -- handbook.md, People\n" in shown
    assert "['handbook.md']" in shown
