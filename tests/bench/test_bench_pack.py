"""``build.py bench --pack``: a folder that measures where there is no more than Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for demo.tools, which no wheel holds

from demo.tools.browsers import find_chromium  # noqa: E402
from demo.tools.pack import write_pack  # noqa: E402
from demo.tools.peers import Package, Peer  # noqa: E402
from demo.tools.steps import StepFailedError, Steps  # noqa: E402

DIST = ROOT / "demo" / "dist"


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of the built site."""
    if not (DIST / "bench" / "index.html").is_file():
        pytest.fail("demo/dist is missing or old: run `python build.py demo --no-serve` first")
    folder = tmp_path_factory.mktemp("carried") / "a pack"
    write_pack(folder, DIST, None, Steps(1))
    return folder


def run(pack: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """run.py in a Python without any package, and without the variables of this process."""
    chromium = find_chromium()
    if chromium is None:
        pytest.fail("no Chromium on this machine: run `python build.py test`, which installs one")
    return subprocess.run(
        [sys.executable, "-I", "-S", str(pack / "run.py"), *words, "--chromium", str(chromium)],
        cwd=home,
        env={"PATH": os.defpath, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_random_model_is_made_and_measured(pack: Path, tmp_path: Path) -> None:
    measured = ("--prompt-tokens", "8", "--contexts", "8", "--tokens", "4", "--runs", "1")
    loaded = ("--no-f16", "--kv-dtype", "f32", "--context", "64")
    shown = ("--json", "--profile", "--host-profile")
    ended = run(pack, tmp_path, "--shape", "tiny", *shown, *measured, *loaded)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["engine"]["name"] == "tiny-q4_0, random"
    assert found["engine"]["backend"] == "browser WebGPU"
    assert found["engine"]["kv_dtype"] == "f32"
    assert found["engine"]["context_length"] == 64
    assert [row["sampling"] for row in found["decode"]] == ["greedy", "sampled"]
    for profile in found["profile"]:
        # SwiftShader's clock is exact, and Chromium is told to leave it so.
        assert profile["repeats"] == 1
        assert min(row["gpu_s"] for row in profile["kernels"]) > 0
        assert any(row["matrix"] == "gate_up" for row in profile["kernels"])
    whole = found["host_profile"].pop("in all")
    assert sum(found["host_profile"].values()) == pytest.approx(whole)
    # Of four tokens on a machine that does much else, not even the sign is sure.
    assert {"JavaScript, replay()", "JavaScript, write()"} <= {*found["host_profile"]}
    assert (tmp_path / ".cache" / "webllm_py" / "bench" / "tiny-q4_0.gguf").is_file()


def test_its_words(pack: Path, tmp_path: Path) -> None:
    helped = run(pack, tmp_path, "--help")
    assert helped.returncode == 0
    assert helped.stdout.startswith("usage: run.py ")
    assert "--peer" in helped.stdout and "--shape" in helped.stdout
    wrong = run(pack, tmp_path, "--shape", "huge")
    assert wrong.returncode == 2
    assert "run.py: error: argument --shape" in wrong.stderr
    nothing = run(pack, tmp_path, "model.gguf", "--shape", "tiny")
    assert nothing.returncode == 1
    assert nothing.stderr == "error: give either a SOURCE or a --shape\n"


def site_of(folder: Path) -> Path:
    (folder / "pyodide").mkdir(parents=True)
    (folder / "lite").mkdir()
    (folder / "site.json").write_text("{}")
    return folder


def test_a_pack_is_written_anew(tmp_path: Path) -> None:
    site, folder = site_of(tmp_path / "site"), tmp_path / "pack"
    write_pack(folder, site, None, Steps(1))
    assert {path.name for path in folder.iterdir()} == {"run.py", "site", "tools"}
    assert not (folder / "site" / "lite").exists()
    (folder / "site" / "stale.js").touch()
    (folder / "notes.txt").touch()
    write_pack(folder, site, None, Steps(1))
    assert not (folder / "site" / "stale.js").exists()
    assert (folder / "notes.txt").exists()


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    site = site_of(tmp_path / "site")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").touch()
    with pytest.raises(StepFailedError, match="is not empty, and no pack"):
        write_pack(folder, site, None, Steps(1))
    with pytest.raises(StepFailedError, match="is no folder"):
        write_pack(folder / "thesis.txt", site, None, Steps(1))
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_of_a_peer_only_what_its_page_loads(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    other = Package("other-engine", "1.0", ("LICENSE", "lib/index.js"))
    runtime = Package("its-runtime", "2.0", ("run.wasm",), "runtime")
    peer = Peer("other", (other, runtime), "gguf", str)
    for name in (*peer.files, "lib/huge.map"):
        (packages / "other-1.0" / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / "other-1.0" / name).touch()
    write_pack(tmp_path / "pack", site_of(tmp_path / "site"), peer, Steps(1), packages)
    package = tmp_path / "pack" / "peers" / "other-1.0"
    files = {path.relative_to(package) for path in package.rglob("*") if path.is_file()}
    assert files == {Path("LICENSE"), Path("lib/index.js"), Path("runtime/run.wasm")}
