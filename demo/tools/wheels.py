"""Pure Python wheels for Pyodide, from PyPI, and the lock file by which Pyodide finds them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environment import Environment
from .steps import Steps

__all__ = ["PyodideLock", "fetch_wheels"]


@dataclass(frozen=True)
class PyodideLock:
    """The lock file that Pyodide comes with: which versions go together, and what needs what."""

    content: Mapping[str, Any]

    @property
    def python(self) -> str:
        """Python's version, as "3.14"."""
        return ".".join(self.content["info"]["python"].split(".")[:2])

    def versions(self, names: Iterable[str]) -> dict[str, str]:
        """The versions of packages and of all that they need, by name."""
        packages = self.content["packages"]
        found: dict[str, str] = {}
        waiting = [*names]
        while waiting:
            name = waiting.pop().replace("_", "-")
            if name not in found:
                found[name] = packages[name]["version"]
                waiting += packages[name]["depends"]
        return dict(sorted(found.items()))

    def listing(self, wheels: Iterable[Path], depends: Mapping[str, list[str]]) -> dict[str, Any]:
        """A lock file of these wheels and no others.

        Args:
            depends: what packages need that Pyodide's own does not have.
        """
        packages = {}
        for wheel in wheels:
            distribution, version = wheel.name.split("-")[:2]
            name = distribution.replace("_", "-")
            entry = self.content["packages"].get(name) or {
                "name": name,
                "version": version,
                "imports": [distribution],
                "depends": depends.get(name, []),
                "install_dir": "site",
                "package_type": "package",
                "unvendored_tests": False,
            }
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            packages[name] = entry | {"file_name": wheel.name, "sha256": digest}
        return {**self.content, "packages": packages}


def fetch_wheels(
    environment: Environment, steps: Steps, versions: Mapping[str, str], python: str, folder: Path
) -> list[Path]:
    """The wheels of these versions, by name, in ``folder``; fetched unless they are there already.

    Raises:
        StepFailedError: pip could not fetch one.
    """
    missing = [f"{name}=={version}" for name, version in versions.items()
               if not _found(folder, name, version)]  # fmt: skip
    if missing:
        # MarkupSafe has wheels with compiled parts only; _pure keeps what runs anywhere.
        target = ["--python-version", python, "--platform", "manylinux2014_x86_64"]
        environment.pip(
            steps, "download", "--quiet", "--no-deps", "--only-binary=:all:", *target,
            "--dest", folder, *missing,
        )  # fmt: skip
        for wheel in folder.glob("markupsafe-*manylinux*.whl"):
            _pure(wheel)
            wheel.unlink()
    steps.note(f"{len(missing)} of {len(versions)} fetched" if missing else "cached")
    return [_found(folder, name, version)[0] for name, version in versions.items()]


def _found(folder: Path, name: str, version: str) -> list[Path]:
    """The wheel that runs anywhere, if it is there."""
    return [*folder.glob(f"{name.replace('-', '_')}-{version}-py*-none-any.whl")]


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
