"""The page's head asks for every module of the engine: none is found only by reading another."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
IMPORT = re.compile(r"""^(?:import|export)\b[^;]*?["'](\.[^"']+)["'];""", re.MULTILINE)
PRELOAD = re.compile(r'<link rel="modulepreload" href="(pyodide/[^"]+)">')


def text_of(module: str) -> str:
    """A module of the site, by its path there; nothing for what is made at build time."""
    folder = "webllm_py/web" if module.startswith("pyodide/") else "demo"
    path = ROOT / folder / module.removeprefix("pyodide/")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def modules_below(module: str) -> set[str]:
    found: set[str] = set()
    todo = [module]
    while todo:
        one = todo.pop()
        for name in IMPORT.findall(text_of(one)):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(one), name))
            if path not in found:
                found.add(path)
                todo.append(path)
    return found


def test_all_modules_that_start_python_are_preloaded() -> None:
    preloaded = PRELOAD.findall((ROOT / "demo" / "index.html").read_text(encoding="utf-8"))
    assert "pyodide/js/engine.js" in preloaded
    assert sorted(preloaded) == sorted(modules_below("app/start.mjs"))
