"""The bench page, in Chromium, as ``build.py bench`` opens it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from webllm_py.bench import BenchOptions, table
from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for demo.tools, which no wheel holds

from demo.tools import bench_page  # noqa: E402

DIST = ROOT / "demo" / "dist"
OPTIONS = BenchOptions(prompt_tokens=(8,), contexts=(8,), tokens=4, runs=1, profile=True)


@pytest.fixture(scope="module")
def dist() -> Path:
    """The built site; ``build.py test`` makes it anew."""
    if not (DIST / "bench" / "index.html").is_file():
        pytest.fail("demo/dist is missing or old: run `python build.py demo --no-serve` first")
    return DIST


def test_a_random_model_in_chromium(dist: Path, tmp_path: Path) -> None:
    path = tmp_path / "a model.gguf"
    write_random_model(path, "tiny, random", SHAPES["tiny"], "q4_0")
    steps: list[str] = []
    load = {"f16": False, "kv_dtype": "f32", "context_length": 64}
    report = bench_page.bench_in_chromium(dist, path, OPTIONS, load, steps.append)
    assert "message" not in report, report["message"]
    found = report["results"]
    assert found["engine"]["name"] == "tiny, random"
    assert found["engine"]["backend"] == "browser WebGPU"
    assert found["engine"]["kv_dtype"] == "f32"
    assert found["engine"]["context_length"] == 64
    assert len(found["decode"]) == 2
    assert report["table"] == table(found)
    assert "prefill of 8 tokens" in steps
    decode, prefill = found["profile"]
    for profile in (decode, prefill):
        # SwiftShader's clock is exact, and Chromium is told to leave it so.
        assert profile["repeats"] == 1
        assert min(row["gpu_s"] for row in profile["kernels"]) > 0
        assert any(row["matrix"] == "gate_up" for row in profile["kernels"])


def test_a_failure_in_chromium_says_why(dist: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    report = bench_page.bench_in_chromium(dist, path, OPTIONS, {}, lambda step: None)
    assert "CorruptCheckpointError" in report["message"] or "Unsupported" in report["message"]


def test_options_of_the_command_reach_the_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def page(*arguments: object) -> dict[str, object]:
        calls.append(arguments[1:4])
        return {"results": {"found": 1}, "table": "the table"}

    monkeypatch.setattr(bench_page, "bench_in_chromium", page)
    words = ["bench", "https://there/model.gguf", "--tokens", "9", "--no-f16", "--json"]
    assert bench_page.main([*words, "--quantize", "q4", "--context", "512"]) == 0
    assert json.loads(capsys.readouterr().out) == {"found": 1}
    assert calls == [
        (
            "https://there/model.gguf",
            BenchOptions(tokens=9),
            {
                "quantize": "q4",
                "kv_dtype": "f16",
                "f16": False,
                "subgroups": True,
                "power_preference": "high-performance",
                "context_length": 512,
            },
        )
    ]


def test_without_a_browser_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_page, "find_chromium", lambda: None)
    report = bench_page.bench_in_chromium(DIST, None, OPTIONS, {}, lambda step: None)
    assert report == {"message": "no Chrome, Chromium or Edge was found on this machine"}
