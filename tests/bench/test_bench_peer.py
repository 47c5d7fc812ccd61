"""``build.py bench --peer``: the same measurements of another engine, and their ratios."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import subprocess
import sys
import threading
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import webllm_py
from webllm_py.bench import BenchOptions
from webllm_py.errors import RequestError
from webllm_py.gpu import open_device
from webllm_py.loading import pocket_model
from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for demo.tools, which no wheel holds

from demo.tools import bench_page, headless  # noqa: E402
from demo.tools.agreement import CHECK, agreement  # noqa: E402
from demo.tools.bench_options import words_for  # noqa: E402
from demo.tools.comparison import as_json, compare, ratio_table  # noqa: E402
from demo.tools.environment import Environment  # noqa: E402
from demo.tools.onnx_export import export  # noqa: E402
from demo.tools.peer_models import readable  # noqa: E402
from demo.tools.peers import PEERS  # noqa: E402
from demo.tools.serve import SiteServer  # noqa: E402
from demo.tools.steps import StepFailedError, Steps  # noqa: E402

WLLAMA, TRANSFORMERS = PEERS["wllama"], PEERS["transformers.js"]
OPTIONS = BenchOptions(prompt_tokens=(8, 24), contexts=(16, 32), tokens=6, runs=2)


def of(value: float) -> dict[str, Any]:
    return {"median": value, "min": value, "max": value, "runs": [value]}


def decoding(context: int, sampling: str, rate: float) -> dict[str, Any]:
    return {"context": context, "sampling": sampling, "tokens_per_s": of(rate)}


OURS: dict[str, Any] = {
    "start_s": 1.5,
    "results": {
        "engine": {"kernels": "f32, no subgroups"},
        "load_s": 2.5,
        "prefill": [{"prompt_tokens": 8, "tokens_per_s": of(500), "first_token_s": of(0.02)}],
        "decode": [decoding(16, "greedy", 90), decoding(16, "sampled", 80)],
    },
}
THEIRS: dict[str, Any] = {
    "llama_cpp": "b1",
    "layers_on_gpu": 3,
    "layers": 3,
    "threads": 1,
    "adapter_has_f16": True,
    "load_s": 2.0,
    "prefill": [{"prompt_tokens": 8, "tokens_per_s": [50, 100, 200], "first_token_s": [0.1]}],
    "decode": [{"context": 16, "tokens_per_s": [31, 30, 12]}],
}


def test_ratios_are_how_many_times_as_fast_ours_is() -> None:
    rows = {row.what: row for row in compare(OURS, THEIRS)}
    assert list(rows) == [
        "decode at 16", "prefill, 8 tokens", "first token, 8 tokens", "start and load",
    ]  # fmt: skip
    decode, prefill, first, load = rows.values()
    assert (decode.ours, decode.theirs, decode.ratio) == (90, 30, 3)
    assert (prefill.ours, prefill.theirs, prefill.ratio) == (500, 100, 5)
    assert (first.unit, first.ratio) == ("s", pytest.approx(5))
    assert (load.ours, load.theirs, load.ratio) == (4, 2, 0.5)
    assert json.loads(json.dumps(as_json([decode])))[0]["ratio"] == 3


def test_measurements_that_do_not_match_are_not_compared() -> None:
    with pytest.raises(ValueError):
        compare(OURS, THEIRS | {"decode": []})


def test_the_table_says_what_the_peer_ran_on() -> None:
    rows = compare(OURS, THEIRS)
    text = ratio_table(WLLAMA, THEIRS, rows)
    lines = text.splitlines()
    assert lines[0].split() == ["webllm_py", "wllama", "ratio"]
    assert " ".join(lines[1].split()) == "decode at 16 90.0 tokens/s 30.0 tokens/s 3.00 x"
    assert "wllama 3.8.1 (llama.cpp b1) ran on WebGPU, 3 of 3 layers" in text
    on_cpu = THEIRS | {"layers_on_gpu": 0, "layers": 0, "adapter_has_f16": False}
    assert "on the CPU (one thread of WebAssembly)" in ratio_table(WLLAMA, on_cpu, rows)
    assert "needs shader-f16, which this adapter has not" in ratio_table(WLLAMA, on_cpu, rows)
    more = on_cpu | {"threads": 8, "adapter_has_f16": True}
    assert "on the CPU (8 threads of WebAssembly)" in ratio_table(WLLAMA, more, rows)
    assert "shader-f16" not in ratio_table(WLLAMA, more, rows)


def test_whether_both_computed_the_same() -> None:
    even, odd = [0.0, 0.0], [math.log(3), 0.0]
    ours = {"logits": [even, odd], "tokens": [1, 2, 3]}
    found = agreement(ours, {"logits": [even, [x + 7 for x in odd]], "tokens": [1, 2, 3]})
    assert found.divergences == [0, pytest.approx(0, abs=1e-12)]
    assert "transformers.js computed the same" in found.text("transformers.js")
    assert "3 of 3 greedy tokens" in found.text("transformers.js")
    found = agreement(ours, {"logits": [odd, odd], "tokens": [1, 7, 3]})
    assert found.divergences == [
        pytest.approx(0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)),
        0,
    ]
    assert "did NOT compute the same" in found.text("transformers.js")
    assert "1 of 3 greedy tokens" in found.text("transformers.js")


def test_only_what_ours_measured_is_asked_of_the_peer() -> None:
    asked = bench_page.measured(OPTIONS, OURS["results"])
    assert asked == BenchOptions(prompt_tokens=[8], contexts=[16], tokens=6, runs=2)
    with pytest.raises(RequestError, match="nothing to compare"):
        bench_page.measured(OPTIONS, {"prefill": [], "decode": []})


def test_files_that_a_peer_can_read(tmp_path: Path) -> None:
    assert readable(WLLAMA, None) == pocket_model()
    address = "https://there/model.gguf?download=true"
    assert readable(WLLAMA, address) == address
    for other in (tmp_path, "https://there/model.safetensors"):
        with pytest.raises(RequestError, match=r"reads \.gguf files only"):
            readable(WLLAMA, other)
    with pytest.raises(RequestError, match="instead of hf:"):
        readable(WLLAMA, "hf:org/name:model.gguf")
    with pytest.raises(RequestError, match="a file of this machine"):
        readable(TRANSFORMERS, address)
    with pytest.raises(RequestError, match="--format q4_0"):
        readable(TRANSFORMERS, pocket_model())


def answering(report: dict[str, Any]) -> Any:
    return lambda *arguments, **named: report


def test_the_command_shows_both(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_page, "bench_in_chromium", answering(OURS | {"table": "our table"}))
    monkeypatch.setattr(bench_page, "bench_peer", answering(THEIRS))
    assert bench_page.main(["bench", "--peer", "wllama"]) == 0
    shown = capsys.readouterr().out
    assert shown == f"our table\n\n{ratio_table(WLLAMA, THEIRS, compare(OURS, THEIRS))}\n"
    assert bench_page.main(["bench", "--peer", "wllama", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["load_s"] == 2.5
    assert found["wllama"] == THEIRS
    assert [row["ratio"] for row in found["ratios"]] == [3, 5, pytest.approx(5), 0.5]


def test_a_peer_that_fails_takes_nothing_from_ours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_page, "bench_in_chromium", answering(OURS | {"table": "our table"}))
    monkeypatch.setattr(bench_page, "bench_peer", answering({"message": "wllama: no"}))
    assert bench_page.main(["bench", "--peer", "wllama"]) == 1
    assert capsys.readouterr() == ("our table\n", "error: wllama: no\n")


def test_words_go_on_to_what_understands_them() -> None:
    words = ["--browser", "m.gguf", "--peer", "wllama", "--runs", "2", "--chromium", "c", "--json"]
    assert words_for(words, browser=False) == ["m.gguf", "--runs", "2", "--json"]
    assert words_for(words, browser=True) == [*words[1:]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--peer", "other"], "invalid choice: 'other'"),
        (["--peer", "wllama", "--native"], "leave --native out"),
        (["--pack", "x", "--native"], "not allowed with"),
        (["--runs", "0"], "not a positive whole number"),
        (["--unknown"], "--unknown"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_built(words: list[str], said: str) -> None:
    command = [sys.executable, "build.py", "bench", *words]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stdout == ""


def test_a_package_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    folder = WLLAMA.folder(tmp_path)
    for name in WLLAMA.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    nowhere = Environment(tmp_path / "no environment")
    WLLAMA.fetch(nowhere, Steps(1), tmp_path)
    (folder / "esm" / "index.js").unlink()
    with pytest.raises(StepFailedError, match=r"esm/index\.js is missing"):
        WLLAMA.fetch(nowhere, Steps(1), tmp_path)


def test_without_the_package_it_says_how_to_get_it(tmp_path: Path) -> None:
    report = bench_page.bench_peer(WLLAMA, tmp_path / "none", "m.gguf", OPTIONS, lambda step: None)
    assert "build.py bench --peer wllama" in report["message"]


def test_folders_beside_the_site(tmp_path: Path) -> None:
    for name in ("site", "model", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.txt").write_text(name)
    reports: headless.Reports = headless.queue.Queue()
    handler = headless.handler_for(reports, {"mounted": tmp_path / "model"}, isolated=True)
    with SiteServer(tmp_path / "site", handler=handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        connection = HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
        try:
            found = {}
            for path in ("/file.txt", "/mounted/file.txt", "/mounted/../secret/file.txt"):
                connection.request("GET", path)
                response = connection.getresponse()
                found[path] = (response.status, response.read())
            assert response.getheader("Cross-Origin-Embedder-Policy") == "require-corp"
        finally:
            connection.close()
            server.shutdown()
            thread.join()
    assert found["/file.txt"] == (200, b"site")
    assert found["/mounted/file.txt"] == (200, b"model")
    assert found["/mounted/../secret/file.txt"][0] == 404


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    write_random_model(path, "tiny, random", SHAPES["tiny"], "q4_0")
    return path


@pytest.fixture
def double(tmp_path: Path) -> Path:
    """A package as wllama's, of a double."""
    package = tmp_path / "package"
    (package / "esm").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("double_wllama.js"), package / "esm" / "index.js")
    return package


def test_the_peer_page_with_a_double(tiny: Path, double: Path) -> None:
    steps: list[str] = []
    report = bench_page.bench_peer(WLLAMA, double, tiny, OPTIONS, steps.append)
    assert "message" not in report, report["message"]
    assert report["llama_cpp"] == "b1-double"
    assert (report["layers_on_gpu"], report["layers"], report["threads"]) == (2, 3, 2)
    # Two runs of each, by the double's clock: 2 ms a token of the prompt, 4 ms one after the first.
    assert report["decode"] == [
        {"context": n, "tokens_per_s": [250, 250]} for n in OPTIONS.contexts
    ]
    assert [row["prompt_tokens"] for row in report["prefill"]] == [8, 24]
    for row in report["prefill"]:
        assert row["tokens_per_s"] == [500, 500]
        assert len(row["first_token_s"]) == 2
        assert all(0 <= seconds < 60 for seconds in row["first_token_s"])
    assert report["load_s"] > 0
    assert steps[-1] == "wllama: prefill of 24 tokens"


def test_a_failure_of_the_peer_says_why(double: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"other")
    report = bench_page.bench_peer(WLLAMA, double, path, OPTIONS, lambda step: None)
    assert report["message"] == "wllama: no GGUF file\n    llama_model_load: loading"


def test_a_package_that_cannot_be_loaded(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    empty = tmp_path / "package"
    report = bench_page.bench_peer(WLLAMA, empty, tiny, OPTIONS, lambda step: None)
    assert report["message"] == "wllama could not be loaded"


def test_wllama_itself(tiny: Path) -> None:
    if not WLLAMA.folder().is_dir():
        pytest.skip("wllama was never fetched here: `python build.py bench --peer wllama` does it")
    few = BenchOptions(prompt_tokens=(8,), contexts=(16,), tokens=4, runs=1)
    report = bench_page.bench_peer(WLLAMA, WLLAMA.folder(), tiny, few, lambda step: None)
    assert "message" not in report, report["message"]
    assert report["llama_cpp"].startswith("b")
    assert report["layers_on_gpu"] == (report["layers"] if report["adapter_has_f16"] else 0)
    (decode,), (prefill,) = report["decode"], report["prefill"]
    assert 0 < decode["tokens_per_s"][0] < 1e6
    assert 0 < prefill["first_token_s"][0] < 60


async def test_transformers_js_itself(tiny: Path, tmp_path: Path) -> None:
    """The same weights give the same tokens, and logits but for the order of sums."""
    if not TRANSFORMERS.folder().is_dir():
        pytest.skip(
            "transformers.js was never fetched here: "
            "`python build.py bench --peer transformers.js` does it"
        )
    folder = tmp_path / "tiny.q4"
    await asyncio.to_thread(export, tiny, folder, "q4")
    few = BenchOptions(prompt_tokens=(8,), contexts=(8,), tokens=2, runs=1)
    prompts = [prompt[:48] for prompt in CHECK["prompts"]]
    # Its attention for long prompts is wrong with subgroups of 4, as SwiftShader has them.
    report = await asyncio.to_thread(
        bench_page.bench_peer, TRANSFORMERS, TRANSFORMERS.folder(), folder, few,
        lambda step: None, subgroups=False, check={"prompts": prompts, "tokens": 4},
    )  # fmt: skip
    assert "message" not in report, report["message"]
    assert report["onnxruntime"] == TRANSFORMERS.packages[1].version
    assert report["dtype"] == "q4"
    assert 0 < report["decode"][0]["tokens_per_s"][0] < 1e6
    assert 0 < report["prefill"][0]["first_token_s"][0] < 60
    device = await open_device(f16=False)
    async with await webllm_py.load(tiny, device=device) as engine:
        for prompt, row in zip(prompts, report["check"]["logits"], strict=True):
            assert np.abs((await engine.logits(prompt))[-1] - row).max() < 1e-4
        said = await engine.logits([*prompts[0], *report["check"]["tokens"]])
        assert [*said[len(prompts[0]) - 1 : -1].argmax(-1)] == report["check"]["tokens"]
    device.close()
