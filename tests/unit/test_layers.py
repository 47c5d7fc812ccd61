"""Imports point one way, and only a few modules know the platform (DESIGN.md, section 2)."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "webllm_py"
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in PACKAGE.rglob("*.py")}

BROWSER_ONLY = ("gpu/browser/", "fetch/browser.py", "sync/browser.py")
NATIVE_ONLY = ("gpu/native/",)
WITHOUT_GPU = ("tokenizer", "grammar", "chat", "checkpoint", "api", "fetch")


@cache
def imported(path: Path) -> frozenset[str]:
    """Absolute names of the modules that a file imports, also inside functions."""
    here = ("webllm_py", *path.relative_to(PACKAGE).parts[:-1])
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def importing(name: str) -> set[str]:
    """Files of the package that import a top-level module."""
    return {
        file
        for file, path in MODULES.items()
        if any(module == name or module.startswith(name + ".") for module in imported(path))
    }


def test_the_reader_of_imports_sees_every_form(tmp_path: Path) -> None:
    folder = PACKAGE / "gpu"
    code = (
        "import js\ndef f():\n    from pyodide.ffi import to_js\n    from ..fetch import source\n"
    )
    path = tmp_path / "probe.py"
    path.write_text(code)
    probe = _Elsewhere(path, folder / "probe.py")
    found = imported(probe)  # type: ignore[arg-type]
    assert {"js", "pyodide.ffi", "webllm_py.fetch", "webllm_py.fetch.source"} <= found


class _Elsewhere:
    """The text of one file at the place of another."""

    def __init__(self, text: Path, place: Path) -> None:
        self.read_text = text.read_text
        self.relative_to = place.relative_to


@pytest.mark.parametrize("name", ["js", "pyodide", "pyodide_js"])
def test_only_the_browser_modules_import_javascript(name: str) -> None:
    assert all(file.startswith(BROWSER_ONLY) for file in importing(name))


def test_the_browser_modules_import_pyodide() -> None:
    found = importing("pyodide") | importing("js")
    assert all(any(file.startswith(place) for file in found) for place in BROWSER_ONLY)


def test_only_the_native_device_imports_wgpu() -> None:
    found = importing("wgpu")
    assert found
    assert all(file.startswith(NATIVE_ONLY) for file in found)


@pytest.mark.parametrize("layer", WITHOUT_GPU)
def test_layers_without_a_gpu_import_none(layer: str) -> None:
    files = {file: path for file, path in MODULES.items() if file.startswith(f"{layer}/")}
    for file, path in files.items():
        reached = {name for name in imported(path) if name.startswith("webllm_py.gpu")}
        assert not reached, f"{file} imports {sorted(reached)}"


def test_imports_between_folders_point_one_way() -> None:
    reaches: dict[str, set[str]] = {}
    for file, path in MODULES.items():
        layer = file.split("/")[0].removesuffix(".py")
        others = {name.split(".")[1] for name in imported(path) if name.startswith("webllm_py.")}
        reaches.setdefault(layer, set()).update(others - {layer})
    try:
        list(TopologicalSorter(reaches).static_order())
    except CycleError as error:
        pytest.fail(f"these import each other: {' -> '.join(error.args[1])}")
