"""The lock file that a site's Pyodide reads: of what is there, and of nothing else."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # for demo.tools, which no wheel holds

from demo.tools.wheels import PyodideLock

KNOWN = {
    "jinja2": {"version": "3.1.6", "depends": ["markupsafe"], "file_name": "a.whl", "sha256": "0"},
    "markupsafe": {"version": "3.0.3", "depends": [], "file_name": "b.whl", "sha256": "1"},
    "prompt-toolkit": {"version": "3.0.52", "depends": [], "file_name": "c.whl", "sha256": "2"},
}
LOCK = PyodideLock({"info": {"python": "3.14.2"}, "packages": KNOWN})


def test_what_a_package_needs_comes_with_it() -> None:
    assert LOCK.versions(["jinja2"]) == {"jinja2": "3.1.6", "markupsafe": "3.0.3"}
    assert LOCK.versions(["prompt_toolkit"]) == {"prompt-toolkit": "3.0.52"}
    assert LOCK.python == "3.14"


def test_it_lists_the_wheels_that_are_there(tmp_path: Path) -> None:
    markupsafe = tmp_path / "markupsafe-3.0.3-py3-none-any.whl"
    ours = tmp_path / "webllm_py-0.1.0-py3-none-any.whl"
    for wheel in (markupsafe, ours):
        wheel.write_bytes(wheel.name.encode())
    listing = LOCK.listing([markupsafe, ours], {"webllm-py": ["jinja2"]})
    assert listing["info"] == {"python": "3.14.2"}
    packages = listing["packages"]
    assert [*packages] == ["markupsafe", "webllm-py"]
    for wheel, entry in zip((markupsafe, ours), packages.values(), strict=True):
        assert entry["file_name"] == wheel.name
        assert entry["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert packages["webllm-py"]["imports"] == ["webllm_py"]
    assert packages["webllm-py"]["depends"] == ["jinja2"]
    assert KNOWN["markupsafe"]["sha256"] == "1"
