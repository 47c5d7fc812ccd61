"""Writes a folder that measures in Chromium on a machine that has Python 3.11 and nothing else of
ours: no network, no pip, no Node.

::

    DIR/
        run.py          what is run there
        site/           the built site, with the wheels that run.py imports as well
        tools/          this folder
        peers/          a peer's files from npm, where one was asked for

Each of these can be carried on its own; together they may be too much for one way.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .peers import PEER_PACKAGES, Peer
from .steps import StepFailedError, Steps

__all__ = ["check_folder", "write_pack"]

TOOLS = Path(__file__).resolve().parent
RUNNER = "pack_run.py"
LITE = "lite"  # the notebook site, which has a Pyodide of its own
PARTS = ("site", "tools", "peers")


def write_pack(
    folder: Path, site: Path, peer: Peer | None, steps: Steps, packages: Path = PEER_PACKAGES
) -> None:
    """Write the folder, or write it anew.

    Args:
        site: the built site.
        peer: the engine to compare with.
        packages: where its package from npm is.

    Raises:
        StepFailedError: the folder holds something else, or cannot be written.
    """
    check_folder(folder)
    try:
        for part in PARTS:
            shutil.rmtree(folder / part, ignore_errors=True)
        # The extension has the site's files a second time.
        unwanted = shutil.ignore_patterns(LITE, "extension")
        shutil.copytree(site, folder / "site", ignore=unwanted)
        unwanted = shutil.ignore_patterns("__pycache__", RUNNER)
        shutil.copytree(TOOLS, folder / "tools", ignore=unwanted)
        shutil.copy2(TOOLS / RUNNER, folder / "run.py")
        if peer:
            copy_package(peer, packages, folder / "peers")
    except OSError as error:
        raise StepFailedError(f"The pack cannot be written: {error}") from error
    sizes = {part: size_of(folder / part) for part in PARTS if (folder / part).is_dir()}
    parts = ", ".join(f"{part} {size / 2**20:.1f}" for part, size in sizes.items())
    steps.note(f"{folder}, {sum(sizes.values()) / 2**20:.1f} MiB: {parts}")


def size_of(folder: Path) -> int:
    """Bytes of all files in it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check_folder(folder: Path) -> None:
    """Nothing but a pack is written over.

    Raises:
        StepFailedError: the folder holds something else, or is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise StepFailedError(f"{folder} is no folder: give another one")
    if folder.exists() and not (folder / "run.py").is_file() and any(folder.iterdir()):
        raise StepFailedError(f"{folder} is not empty, and no pack: give another folder")


def copy_package(peer: Peer, packages: Path, copies: Path) -> None:
    """Of a peer's package only what its page loads."""
    for name in peer.files:
        target = peer.folder(copies) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(peer.folder(packages) / name, target)
