"""Assembles ``demo/dist``: the page, Pyodide from npm and every wheel, with nothing from a CDN.

::

    demo/dist/
        index.html style/ app/ quickstart.ipynb examples/
        site.json       which wheels the page's packages are, and which is ours
        markdown-it/ temml/ what the page shows answers with: Markdown, mathematics
        pyscript/ openai/   PyScript and OpenAI's client, for examples
        pyodide/        Pyodide's core files, all wheels, and a lock file that lists only these
            webllm_py.js and its parts (webllm_py/web), for pages in JavaScript
            snapshot.bin.gz a started Python with the packages imported (see snapshot.mjs)
            packages.bin.gz the files of these packages (see webllm_py/web/js/python.js)
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import struct
from pathlib import Path

from .distribution import PYODIDE, Distribution
from .npm import fetch_package
from .steps import StepFailedError, Steps
from .web_module import write_extension, write_module

__all__ = ["Assembly"]

# micropip and packaging are for notebook users who install the wheel by address; the page itself
# does without them.
_THIRD_PARTY = ("jinja2", "micropip", "packaging")
# Beside what Pyodide's lock file knows: fetched by a page when a PDF is dropped there.
PYPDF = {"pypdf": "7.1.1"}
# From npm. (marked is a third of markdown-it's size, but hostile text overflows its stack.)
_NPM = {
    "markdown-it": "15.0.3",
    "temml": "0.13.5",
    "@pyscript/core": "0.7.31",
    "openai": "6.49.0",
}
# What the page loads of these.
_PAGE_MODULES = {
    "markdown-it": ("dist/browser/markdown-it.esm.min.mjs",),
    "temml": ("dist/temml.mjs", "dist/Temml-Local.css", "dist/Temml.woff2"),
}
_PAGE = (
    *("index.html", "icon.svg", "service.js", "quickstart.ipynb"),
    *("app", "bench", "examples", "style"),
)


class Assembly:
    """One build of the site; each method is a step."""

    def __init__(self, parts: Distribution) -> None:
        self.parts = parts
        self.root = parts.root
        self.dist = self.root / "demo" / "dist"
        self.pyodide = self.dist / "pyodide"
        self.wheels: list[Path] = []

    def fetch_npm(self, steps: Steps) -> None:
        """The npm packages that the page and examples use, unpacked."""
        for package, version in _NPM.items():
            fetch_package(self.parts.environment, steps, package, version, self._npm(package))

    def fetch_wheels(self, steps: Steps) -> None:
        """The wheels that ours needs, in the versions that Pyodide's lock file names."""
        versions = self.parts.lock.versions(_THIRD_PARTY) | PYPDF
        self.wheels = self.parts.fetch_wheels(steps, versions)

    def write_site(self, steps: Steps) -> None:
        """Copy everything into place; what was built before, JupyterLite too, is thrown away."""
        shutil.rmtree(self.dist, ignore_errors=True)
        self.parts.write_pyodide(self.pyodide, self.wheels)
        write_module(self.root / "webllm_py", self.pyodide)
        for name in _PAGE:
            source = self.root / "demo" / name
            if source.is_dir():
                shutil.copytree(source, self.dist / name)
            else:
                shutil.copy2(source, self.dist / name)
        shutil.copytree(
            self._npm("@pyscript/core") / "dist",
            self.dist / "pyscript",
            ignore=shutil.ignore_patterns("*.map", "xterm*", "codemirror*"),
        )
        copy_modules(self._npm("openai"), self.dist / "openai")
        for package, files in _PAGE_MODULES.items():
            (self.dist / package).mkdir()
            for name in (*files, "LICENSE"):
                shutil.copy2(self._npm(package) / name, self.dist / package)
        site = {
            "pyodide": PYODIDE,
            "wheels": [wheel.name for wheel in self._page_wheels()],
            "own_wheel": self.parts.own_wheel.name,
        }
        (self.dist / "site.json").write_text(json.dumps(site, indent=1))
        steps.note(_relative(self.dist, self.root))

    def freeze_python(self, steps: Steps) -> None:
        """Start Python once, import the packages, and keep its memory: pages then start from it."""
        node = self.parts.environment.node(steps)
        unpacked = self.parts.cache / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        for wheel in self._page_wheels():
            shutil.unpack_archive(wheel, unpacked, "zip")
        (self.pyodide / "packages.bin.gz").write_bytes(_packed(unpacked))
        snapshot = self.pyodide / "snapshot.bin.gz"
        script = Path(__file__).with_name("snapshot.mjs")
        steps.run(
            [node, script, self.parts.folder, unpacked, snapshot],
            hint="Python did not start in Node. `node --version` must be 18 or newer.",
        )
        if not snapshot.is_file():
            raise StepFailedError(f"{script.name} wrote no {snapshot.name}")
        write_extension(self.dist / "examples" / "extension", self.pyodide)
        self._write_offline_list()
        total = sum(path.stat().st_size for path in self.dist.rglob("*") if path.is_file())
        steps.note(
            f"{snapshot.stat().st_size / 1e6:.1f} MB; the whole site is {total / 1e6:.0f} MB"
        )

    def _write_offline_list(self) -> None:
        """What the chat page needs, for app/offline.mjs, and a digest of all of it."""
        needed = [self.dist / "index.html", self.dist / "icon.svg", self.dist / "site.json"]
        for folder in ("app", "style", *_PAGE_MODULES, "pyodide"):
            paths = (path for path in (self.dist / folder).rglob("*") if path.is_file())
            needed += [path for path in paths if is_fetched(path.name)]
        digest = hashlib.sha256()
        for path in sorted(needed):
            digest.update(path.read_bytes())
        files = ["./", *(_relative(path, self.dist) for path in sorted(needed))]
        listed = {"version": digest.hexdigest()[:16], "files": files}
        (self.dist / "offline.json").write_text(json.dumps(listed))

    def _npm(self, package: str) -> Path:
        folder = package.removeprefix("@").replace("/", "-")
        return self.parts.cache / f"{folder}-{_NPM[package]}"

    def _page_wheels(self) -> list[Path]:
        not_at_start = ("micropip-", "packaging-", "pypdf-")
        wheels = [*self.wheels, self.parts.own_wheel]
        return [wheel for wheel in wheels if not wheel.name.startswith(not_at_start)]


def is_fetched(name: str) -> bool:
    """Whether the chat page fetches such a file; of the wheels only what it does not start with."""
    return name.startswith("pypdf-") or not name.endswith((".whl", ".ts"))


def _packed(folder: Path) -> bytes:
    """A folder's files for web/js/python.js, which puts them in place in a fifth of the time that
    Python takes to unpack their wheels: the length of a list, the list, the files one by one.

    Compressed as a whole; the list is JSON, of names and lengths.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path.read_bytes() for path in paths]
    names = [_relative(path, folder) for path in paths]
    listed = json.dumps(list(zip(names, map(len, files), strict=True))).encode()
    return gzip.compress(b"".join([struct.pack("<I", len(listed)), listed, *files]), mtime=0)


def copy_modules(package: Path, folder: Path) -> None:
    """Of an npm package the modules that browsers load, and its licence."""
    for path in (*package.rglob("*.mjs"), package / "LICENSE"):
        target = folder / path.relative_to(package)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
