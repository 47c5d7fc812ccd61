"""Writes ``webllm_py.js``, the engine for pages in JavaScript, and its parts beside the wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["write_module"]

SCRIPTS = "js/scripts.js"


def write_module(package: Path, folder: Path) -> None:
    """Copy the JavaScript of ``webllm_py/web``, and write what else the worker imports.

    Args:
        package: ``webllm_py``.
        folder: of the wheel.
    """
    web = package / "web"
    unwanted = shutil.ignore_patterns("*.py", "__pycache__")
    shutil.copytree(web, folder, ignore=unwanted, dirs_exist_ok=True)
    scripts = sorted(path for path in package.rglob("*.js") if not path.is_relative_to(web))
    (folder / SCRIPTS).write_text(_as_functions(package, scripts), encoding="utf-8")


def _as_functions(package: Path, scripts: list[Path]) -> str:
    """The package's scripts, which are one expression each, as functions that give their values.

    Python evaluates their texts otherwise, which extensions forbid.
    """
    lines = ["// Made by demo/tools/web_module.py of the scripts in webllm_py.", "export default {"]
    for path in scripts:
        expression = path.read_text(encoding="utf-8").rstrip().removesuffix(";")
        name = path.relative_to(package).as_posix()
        lines += [f'"{name}": () => (', expression, "),"]
    return "\n".join([*lines, "};", ""])
