"""Writes ``webllm_py.js``, the engine for pages in JavaScript, and its parts beside the wheel."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import web_errors

__all__ = ["write_extension", "write_module"]


def write_module(package: Path, folder: Path) -> None:
    """Copy the JavaScript of ``webllm_py/web``, and write what of it is made.

    Args:
        package: ``webllm_py``.
        folder: of the wheel.
    """
    web = package / "web"
    unwanted = shutil.ignore_patterns("*.py", "__pycache__")
    shutil.copytree(web, folder, ignore=unwanted, dirs_exist_ok=True)
    scripts = sorted(path for path in package.rglob("*.js") if not path.is_relative_to(web))
    made = {
        "scripts.js": _as_functions(package, scripts),
        "error_classes.js": web_errors.javascript(),
        "error_classes.d.ts": web_errors.typescript(),
    }
    for name, text in made.items():
        (folder / "js" / name).write_text(text, encoding="utf-8")


def write_extension(extension: Path, pyodide: Path) -> None:
    """Give a browser's extension what its pages start Python with: extensions load nothing from
    elsewhere. The files are the site's own, by hard links where the disk has them.

    Args:
        extension: its folder, with its manifest.
        pyodide: the site's.
    """
    for path in pyodide.rglob("*"):
        if path.is_dir() or path.suffix in (".whl", ".ts"):
            continue
        target = extension / "pyodide" / path.relative_to(pyodide)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copy2(path, target)


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
