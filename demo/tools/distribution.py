"""What sites are made of: Pyodide from npm, wheels from PyPI, and ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from .environment import Environment
from .npm import fetch_package
from .steps import Steps
from .wheels import PyodideLock, fetch_wheels

__all__ = ["PYODIDE", "Distribution"]

PYODIDE = "314.0.7"
_CORE = (
    "pyodide.mjs",
    "pyodide.js",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "package.json",
)


class Distribution:
    """The parts of a site, in ``.cache``.

    Attributes:
        folder: Pyodide's npm package.
        own_wheel: this project's wheel, once it is built.
    """

    own_wheel: Path

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.root = environment.root
        self.cache = self.root / ".cache"
        self.folder = self.cache / f"pyodide-{PYODIDE}"

    @cached_property
    def lock(self) -> PyodideLock:
        """What Pyodide's own lock file says."""
        return PyodideLock(json.loads((self.folder / "pyodide-lock.json").read_text()))

    def fetch_pyodide(self, steps: Steps) -> None:
        """Pyodide's npm package, unpacked."""
        fetch_package(self.environment, steps, "pyodide", PYODIDE, self.folder)

    def fetch_wheels(self, steps: Steps, versions: Mapping[str, str]) -> list[Path]:
        """Pure Python wheels of these versions, by name."""
        folder = self.cache / "wheels"
        return fetch_wheels(self.environment, steps, versions, self.lock.python, folder)

    def build_wheel(self, steps: Steps) -> None:
        """This project's wheel."""
        folder = self.cache / "own-wheel"
        shutil.rmtree(folder, ignore_errors=True)
        self.environment.pip(
            steps, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, self.root
        )
        self.own_wheel = next(folder.glob("webllm_py-*.whl"))
        size = self.own_wheel.stat().st_size
        steps.note(f"{self.own_wheel.name}, {size / 1e6:.1f} MB")

    def write_pyodide(self, folder: Path, wheels: Sequence[Path]) -> None:
        """Pyodide's core files, these wheels and ours, and a lock file of no others."""
        folder.mkdir(parents=True)
        wheels = [*wheels, self.own_wheel]
        for path in (*(self.folder / name for name in _CORE), *wheels):
            shutil.copy2(path, folder / path.name)
        listing = self.lock.listing(wheels, {"webllm-py": ["jinja2"]})
        (folder / "pyodide-lock.json").write_text(json.dumps(listing))
