"""Packages from npm, unpacked into the build's cache; nothing of them is run."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from .environment import Environment
from .steps import Steps

__all__ = ["fetch_package"]


def fetch_package(
    environment: Environment, steps: Steps, package: str, version: str, folder: Path
) -> None:
    """Unpack one version of a package into ``folder``, unless it is there already.

    Raises:
        StepFailedError: npm could not fetch it.
    """
    if (folder / "package.json").is_file():
        steps.note("cached")
        return
    work = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    node = environment.node(steps)
    steps.run(
        [environment.npm(node), "pack", f"{package}@{version}", "--silent"],
        cwd=work,
        hint=f"npm could not fetch {package}. Is the network up, and npm's registry reachable?",
    )
    archive = next(work.glob("*.tgz"))
    with tarfile.open(archive) as tar:
        tar.extractall(work, filter="data")
    shutil.rmtree(folder, ignore_errors=True)
    (work / "package").rename(folder)
    steps.note(f"{archive.stat().st_size / 1e6:.1f} MB")
    shutil.rmtree(work)
