"""The bench page, in Chromium, as ``build.py bench`` opens it; test_bench_pack.py measures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from webllm_py.bench import BenchOptions

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for demo.tools, which no wheel holds

from demo.tools import bench_page, headless  # noqa: E402

DIST = ROOT / "demo" / "dist"
MORE_WORDS = ("--quantize", "q4", "--context", "512", "--chromium", "there/chrome")
OPTIONS = BenchOptions(prompt_tokens=(8,), contexts=(8,), tokens=4, runs=1)


@pytest.fixture(scope="module")
def dist() -> Path:
    """The built site; ``build.py test`` makes it anew."""
    if not (DIST / "bench" / "index.html").is_file():
        pytest.fail("demo/dist is missing or old: run `python build.py demo --no-serve` first")
    return DIST


def test_a_failure_in_chromium_says_why(dist: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    steps: list[str] = []
    report = bench_page.bench_in_chromium(dist, path, OPTIONS, {}, steps.append)
    assert steps == ["opening the GPU", "loading the model"]
    assert "CorruptCheckpointError" in report["message"] or "Unsupported" in report["message"]


def test_options_of_the_command_reach_the_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def page(*arguments: object, chromium: Path | None, check: object) -> dict[str, object]:
        assert (chromium, check) == (Path("there/chrome"), None)
        calls.append(arguments[1:4])
        return {"results": {"found": 1}, "table": "the table"}

    monkeypatch.setattr(bench_page, "bench_in_chromium", page)
    words = ["bench", "https://there/model.gguf", "--tokens", "9", "--no-f16", "--json"]
    assert bench_page.main([*words, *MORE_WORDS]) == 0
    assert json.loads(capsys.readouterr().out) == {"found": 1}
    assert calls == [
        (
            "https://there/model.gguf",
            BenchOptions(tokens=9),
            {
                "quantize": "q4",
                "kv_dtype": "f16",
                "tune": None,
                "f16": False,
                "subgroups": True,
                "power_preference": "high-performance",
                "context_length": 512,
            },
        )
    ]


def test_without_a_browser_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headless, "find_chromium", lambda: None)
    report = bench_page.bench_in_chromium(DIST, None, OPTIONS, {}, lambda step: None)
    assert report == {"message": "no Chrome, Chromium or Edge was found on this machine"}
