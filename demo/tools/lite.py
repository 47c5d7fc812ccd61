"""Builds ``demo/dist/lite``: JupyterLite with Pyodide, our wheel and the notebooks in it.

Nothing comes from another place at run time: ``jupyter lite`` finds Pyodide below ``static``, and
its lock file lists every wheel that the kernel needs.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .assemble import PYPDF
from .distribution import Distribution
from .steps import Steps

__all__ = ["FIRST_PAGE", "LiteSite"]

FIRST_PAGE = "notebooks/index.html?path=quickstart.ipynb"
NOTEBOOKS = (
    "quickstart.ipynb",
    "structured.ipynb",
    "open_box.ipynb",
    "ask_documents.ipynb",
)

# What the kernel imports and we do, with all that these need, in Pyodide's own versions ...
_KERNEL = ("ipython", "jedi", "micropip", "packaging", "jinja2")
# ... and what Pyodide does not have: IPython's highlighting, the channel of its displays, and for
# documents the reading of PDFs.
_BESIDE = {"comm": "0.2.3", "ipython-pygments-lexers": "1.1.1", **PYPDF}


class LiteSite:
    """One build of the site; each method is a step."""

    def __init__(self, parts: Distribution) -> None:
        self.parts = parts
        self.root = parts.root
        self.dist = self.root / "demo" / "dist" / "lite"
        self.wheels: list[Path] = []

    def fetch_jupyterlite(self, steps: Steps) -> None:
        """JupyterLite in the project's environment."""
        self.parts.environment.install_extra(steps, "lite")

    def fetch_wheels(self, steps: Steps) -> None:
        """The wheels of a notebook's Python."""
        versions = self.parts.lock.versions(_KERNEL) | _BESIDE
        self.wheels = self.parts.fetch_wheels(steps, versions)

    def write_site(self, steps: Steps) -> None:
        """What ``jupyter lite build`` makes of it all."""
        source = self.parts.cache / "lite"
        shutil.rmtree(source, ignore_errors=True)
        shutil.rmtree(self.dist, ignore_errors=True)
        self.parts.write_pyodide(source / "static" / "pyodide", self.wheels)
        (source / "jupyter-lite.json").write_text(json.dumps(self._settings(), indent=1))
        steps.run(
            [
                *(self.parts.environment.python, "-m", "jupyterlite_core", "build"),
                *("--lite-dir", source, "--output-dir", self.dist, "--no-sourcemaps"),
                *("--apps", "notebooks", "--apps", "lab", "--apps", "repl"),
            ],
            hint="JupyterLite could not build the site: remove .venv and try again.",
            cwd=source,
        )
        self._write_notebooks()
        shutil.copy2(self.dist / "lab" / "favicon.ico", self.dist)  # browsers ask for it there
        size = sum(path.stat().st_size for path in self.dist.rglob("*") if path.is_file())
        steps.note(f"{self.dist.relative_to(self.root).as_posix()}, {size / 1e6:.0f} MB")

    def _write_notebooks(self) -> None:
        """The notebooks and the list of them, for which ``jupyter lite`` wants Jupyter's server."""
        files, listed = self.dist / "files", self.dist / "api" / "contents"
        files.mkdir()
        listed.mkdir(parents=True)
        entries = []
        for name in NOTEBOOKS:
            shutil.copy2(self.root / "demo" / name, files)
            entries.append(_entry(name, "notebook"))
        folder = _entry("", "directory") | {"format": "json", "content": entries}
        (listed / "all.json").write_text(json.dumps(folder))

    def _settings(self) -> dict[str, Any]:
        listed = self.parts.lock.listing([*self.wheels, self.parts.own_wheel], {})["packages"]
        kernel = {"loadPyodideOptions": {"packages": [*listed]}}
        return {
            "jupyter-lite-schema-version": 0,
            "jupyter-config-data": {
                "appName": "webllm_py",
                "contentsAllJsonFile": "all.json",
                # It asks Jupyter's server for icons that tell of a busy kernel.
                "disabledExtensions": ["@jupyter-notebook/notebook-extension:tab-icon"],
                "litePluginSettings": {"@jupyterlite/pyodide-kernel-extension:kernel": kernel},
            },
        }


def _entry(name: str, kind: str) -> dict[str, Any]:
    """A file or folder as Jupyter's contents API describes it."""
    now = datetime.now(UTC).isoformat()
    return {
        "name": name, "path": name, "type": kind, "writable": True, "created": now,
        "last_modified": now, "content": None, "format": None, "mimetype": None, "size": None,
    }  # fmt: skip
