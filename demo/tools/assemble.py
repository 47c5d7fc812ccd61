"""Assembles ``demo/dist``: the page, Pyodide from npm and every wheel, with nothing from a CDN.

::

    demo/dist/
        index.html style/ app/ worker.mjs worker.py quickstart.ipynb
        site.json       which wheels the page's packages are, and which is ours
        pyodide/        Pyodide's core files, all wheels, and a lock file that lists only these
        snapshot.bin.gz a started Python with the packages imported (see snapshot.mjs)
        packages.bin.gz the files of these packages (see app/python.mjs)
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

from .environment import Environment
from .npm import fetch_package
from .steps import StepFailedError, Steps

__all__ = ["Assembly"]

PYODIDE = "314.0.7"
_CORE = (
    "pyodide.mjs",
    "pyodide.js",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "package.json",
)
# Versions are the lock file's own. micropip and packaging are for notebook users who install the
# wheel by address; the page itself does without them.
_THIRD_PARTY = ("jinja2", "markupsafe", "micropip", "packaging")
_PAGE = (
    *("index.html", "icon.svg", "worker.mjs", "worker.py", "quickstart.ipynb"),
    *("app", "bench", "style"),
)


class Assembly:
    """One build of the site; each method is a step."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.root = environment.root
        self.cache = self.root / ".cache"
        self.dist = self.root / "demo" / "dist"
        self.npm_folder = self.cache / f"pyodide-{PYODIDE}"
        self.wheels: list[Path] = []

    def fetch_pyodide(self, steps: Steps) -> None:
        """Pyodide's npm package, unpacked into ``.cache``."""
        fetch_package(self.environment, steps, "pyodide", PYODIDE, self.npm_folder)

    def fetch_wheels(self, steps: Steps) -> None:
        """The wheels that ours needs, pure Python, in the versions Pyodide's lock file names."""
        folder = self.cache / "wheels"
        lock = self._lock()
        missing = []
        for name in _THIRD_PARTY:
            version = lock["packages"][name]["version"]
            wheel = folder / f"{name}-{version}-py3-none-any.whl"
            self.wheels.append(wheel)
            if not wheel.is_file():
                missing.append(f"{name}=={version}")
        if not missing:
            steps.note("cached")
            return
        python_version = ".".join(lock["info"]["python"].split(".")[:2])
        # MarkupSafe has wheels with compiled parts only; _pure keeps what runs anywhere.
        target = ["--python-version", python_version, "--platform", "manylinux2014_x86_64"]
        self.environment.pip(
            steps, "download", "--quiet", "--no-deps", "--only-binary=:all:", *target,
            "--dest", folder, *missing,
        )  # fmt: skip
        for wheel in folder.glob("markupsafe-*manylinux*.whl"):
            _pure(wheel)
            wheel.unlink()
        steps.note(", ".join(missing))

    def build_wheel(self, steps: Steps) -> None:
        """This project's wheel."""
        folder = self.cache / "own-wheel"
        shutil.rmtree(folder, ignore_errors=True)
        self.environment.pip(
            steps, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, self.root
        )
        wheel = next(folder.glob("webllm_py-*.whl"))
        self.wheels.append(wheel)
        steps.note(f"{wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB")

    def write_site(self, steps: Steps) -> None:
        """Copy everything into place."""
        shutil.rmtree(self.dist, ignore_errors=True)
        pyodide = self.dist / "pyodide"
        pyodide.mkdir(parents=True)
        for name in _CORE:
            shutil.copy2(self.npm_folder / name, pyodide / name)
        for wheel in self.wheels:
            shutil.copy2(wheel, pyodide / wheel.name)
        for name in _PAGE:
            source = self.root / "demo" / name
            if source.is_dir():
                shutil.copytree(source, self.dist / name)
            else:
                shutil.copy2(source, self.dist / name)
        lock = self._lock() | {"packages": {name: entry for name, entry in self._lock_entries()}}
        (pyodide / "pyodide-lock.json").write_text(json.dumps(lock))
        site = {
            "pyodide": PYODIDE,
            "wheels": [wheel.name for wheel in self.wheels if _needed_by_page(wheel)],
            "own_wheel": self.wheels[-1].name,
        }
        (self.dist / "site.json").write_text(json.dumps(site, indent=1))
        steps.note(_relative(self.dist, self.root))

    def freeze_python(self, steps: Steps) -> None:
        """Start Python once, import the packages, and keep its memory: pages then start from it."""
        node = self.environment.node(steps)
        unpacked = self.cache / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        for wheel in filter(_needed_by_page, self.wheels):
            shutil.unpack_archive(wheel, unpacked, "zip")
        (self.dist / "packages.bin.gz").write_bytes(_packed(unpacked))
        snapshot = self.dist / "snapshot.bin.gz"
        script = Path(__file__).with_name("snapshot.mjs")
        steps.run(
            [node, script, self.npm_folder, unpacked, snapshot],
            hint="Python did not start in Node. `node --version` must be 18 or newer.",
        )
        if not snapshot.is_file():
            raise StepFailedError(f"{script.name} wrote no {snapshot.name}")
        total = sum(path.stat().st_size for path in self.dist.rglob("*") if path.is_file())
        steps.note(
            f"{snapshot.stat().st_size / 1e6:.1f} MB; the whole site is {total / 1e6:.0f} MB"
        )

    def _lock(self) -> dict[str, Any]:
        lock: dict[str, Any] = json.loads((self.npm_folder / "pyodide-lock.json").read_text())
        return lock

    def _lock_entries(self) -> list[tuple[str, dict[str, Any]]]:
        known = self._lock()["packages"]
        entries = []
        for wheel in self.wheels:
            distribution, version = wheel.name.split("-")[:2]
            name = distribution.replace("_", "-")
            entry = known.get(name) or {
                "name": name,
                "version": version,
                "imports": [distribution],
                "depends": ["jinja2"],
                "install_dir": "site",
                "package_type": "package",
                "unvendored_tests": False,
            }
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            entries.append((name, entry | {"file_name": wheel.name, "sha256": digest}))
        return entries


def _needed_by_page(wheel: Path) -> bool:
    return not wheel.name.startswith(("micropip-", "packaging-"))


def _pure(wheel: Path) -> Path:
    """The same wheel without its compiled parts; MarkupSafe then uses its Python code."""
    name, version = wheel.name.split("-")[:2]
    target = wheel.with_name(f"{name}-{version}-py3-none-any.whl")
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            if entry.filename.endswith((".so", ".c", ".pyi")):
                continue
            data = old.read(entry)
            if entry.filename == f"{info}/WHEEL":
                data = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            if entry.filename == f"{info}/RECORD":
                kept = (line for line in data.splitlines(keepends=True) if b".so," not in line)
                data = b"".join(kept)
            new.writestr(entry, data)
    return target


def _packed(folder: Path) -> bytes:
    """A folder's files for app/python.mjs, which puts them in place in a fifth of the time that
    Python takes to unpack their wheels: the length of a list, the list, the files one by one.

    Compressed as a whole; the list is JSON, of names and lengths.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path.read_bytes() for path in paths]
    names = [_relative(path, folder) for path in paths]
    listed = json.dumps(list(zip(names, map(len, files), strict=True))).encode()
    return gzip.compress(b"".join([struct.pack("<I", len(listed)), listed, *files]), mtime=0)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
