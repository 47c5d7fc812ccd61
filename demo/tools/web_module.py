"""Writes ``webllm_py.js``, the engine for pages in JavaScript, and its parts beside the wheel."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from webllm_py.fetch.options import HUB
from webllm_py.fetch.prebuilt import prebuilt_models

from . import web_errors

__all__ = ["prebuilt_records", "write_extension", "write_module"]

# WebLLM's ModelType, of families that do not only write.
TYPES = {"bert": 1, "phi3_v": 2}


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
        "prebuilt.js": prebuilt_records(),
    }
    for name, text in made.items():
        (folder / "js" / name).write_text(text, encoding="utf-8")


def prebuilt_records() -> str:
    """WebLLM's records of its models, as it has them in JavaScript."""
    records = [
        {
            "model": f"{HUB}/{model.repository}",
            "model_id": model.id,
            "model_lib": "",
            "vram_required_MB": model.memory >> 20,
            "low_resource_required": model.low_resource,
            "overrides": {"context_window_size": model.context},
            **({"model_type": TYPES[model.family]} if model.family in TYPES else {}),
        }
        for model in prebuilt_models().values()
    ]
    made = "// Made by demo/tools/web_module.py of webllm_py/fetch/prebuilt.py."
    return f"{made}\nexport default {json.dumps(records, indent=1)};\n"


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
