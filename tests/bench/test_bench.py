"""The bench runs, and its numbers agree with each other and with the model. No speed is judged."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import webllm_py
from webllm_py.bench import BenchOptions, bandwidth, core, run, table
from webllm_py.bench.table import tuning_lines
from webllm_py.cli import main
from webllm_py.engine import Engine
from webllm_py.gpu.device import AdapterInfo, Buffer, Limits, Plan
from webllm_py.gpu.kernels import Variant
from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES
from webllm_py.runtime.tuning.problems import problems_of
from webllm_py.tokenizer import StreamDecoder

SHARED = Path(__file__).parents[3] / "shared" / "data" / "checkpoints"
QUICK = BenchOptions(
    prompt_tokens=(8, 40), contexts=(32, 64, 9000), tokens=16, runs=2, history=100, together=3
)


async def loaded(path: Path, **options: Any) -> Engine:
    try:
        return await webllm_py.load(path, **options)
    except webllm_py.NoAdapterError as error:
        pytest.skip(f"no GPU adapter for wgpu: {error}")


@pytest.fixture(scope="module")
async def stories() -> AsyncIterator[Engine]:
    path = SHARED / "stories260K" / "stories260K.gguf"
    if not path.is_file():
        pytest.skip(f"the test data is missing: {path}")
    async with await loaded(path) as engine:
        yield engine


@pytest.fixture(scope="module")
async def requests() -> list[tuple[int, int, Any]]:
    """Prompt length, tokens, and usage of every request of ``results``."""
    return []


@pytest.fixture(scope="module")
async def results(stories: Engine, requests: list[tuple[int, int, Any]]) -> dict[str, Any]:
    """All measurements on stories260K."""
    plain = core.Bench.request

    async def noted(self: core.Bench, prompt: list[int], tokens: int, fields: Any) -> Any:
        usage = await plain(self, prompt, tokens, fields)
        requests.append((len(prompt), tokens, usage))
        return usage

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core.Bench, "request", noted)
        return await run(stories, QUICK, load_seconds=1.5)


def test_everything_that_fits_is_measured(results: dict[str, Any]) -> None:
    assert [row["prompt_tokens"] for row in results["prefill"]] == [8, 40]
    measured = [(row["context"], row["sampling"]) for row in results["decode"]]
    assert measured == [(32, "greedy"), (32, "sampled"), (64, "greedy"), (64, "sampled")]
    assert results["skipped"] == [
        "decoding at 9,000 tokens: with 16 more, over the context of 2,048"
    ]
    assert [row["name"] for row in results["faster"]] == ["repeating", "3 at once"]
    for row in results["prefill"] + results["decode"] + results["faster"]:
        assert len(row["tokens_per_s"]["runs"]) == 2


def test_prompts_are_computed_and_contexts_are_not(
    results: dict[str, Any], requests: list[tuple[int, int, Any]]
) -> None:
    cached = [
        (length, usage.prompt_tokens_details.cached_tokens)
        for length, tokens, usage in requests
        if tokens == 1 and length in (8, 40, 108)
    ]
    # Two runs, and one to warm up.
    assert cached == [(8, 0)] * 3 + [(40, 0)] * 3 + [(108, 100)] * 3
    decoded = [(length, usage) for length, tokens, usage in requests if tokens == 16]
    assert len(decoded) == 2 * 2 * 3 + 2 * 3 + 3 * 3
    for length, usage in decoded[:12]:
        assert usage.prompt_tokens == length
        assert usage.completion_tokens == 16
        assert usage.prompt_tokens_details.cached_tokens == length - 1
    counts = [usage.completion_tokens for _, usage in decoded[12:]]
    assert counts == [16] * 3 + [48] * 3 + [16] * 9


def test_rates_belong_to_the_requests(
    results: dict[str, Any], requests: list[tuple[int, int, Any]]
) -> None:
    rates = [usage.timings.decode_tokens_per_s for _, _, usage in requests]
    for row in results["decode"] + results["faster"]:
        assert set(row["tokens_per_s"]["runs"]) <= set(rates)
        spread = row["tokens_per_s"]
        assert spread["min"] <= spread["median"] <= spread["max"]
    found = results["constrained"]
    for name, runs in {"constrained": 2, "free": 2, "first": 1, "new": 3}.items():
        assert set(found[name]["runs"]) <= set(rates) and len(found[name]["runs"]) == runs
    shares = [
        one / other
        for one, other in zip(found["constrained"]["runs"], found["free"]["runs"], strict=True)
    ]
    assert len(shares) == 2 and min(shares) <= found["share"] <= max(shares)
    for row in results["prefill"]:
        # The first token comes after the prompt: the rate and the time are of the same moments.
        for rate, seconds in zip(
            row["tokens_per_s"]["runs"], row["first_token_s"]["runs"], strict=True
        ):
            assert row["prompt_tokens"] / rate <= seconds


async def test_dispatches_a_token_are_what_the_device_is_given(
    stories: Engine, results: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    device: Any = stories.loaded.owner.device
    encoded = device._encoded  # by all that replays
    given = 0

    def counting(plan: Any, times: int) -> Any:
        nonlocal given
        given += len(plan.dispatches) * times
        return encoded(plan, times)

    monkeypatch.setattr(device, "_encoded", counting)
    counts = []
    for first, tokens in ((301, 9), (302, 41)):  # prompts that are not in the cache
        given = 0
        await stories.completions.create(
            prompt=[first] * 40,
            max_tokens=tokens,
            temperature=0,
            ignore_eos=True,
            prompt_lookup=False,
        )
        counts.append(given)
    (dispatches,) = {row["dispatches_per_token"] for row in results["decode"]}
    assert counts[1] - counts[0] == 32 * dispatches


def test_submits_a_token(results: dict[str, Any]) -> None:
    for row in results["decode"]:
        assert len(row["host_s_per_token"]["runs"]) == 2
        # Up to 4 steps are one submit, and the read-back of their tokens is another.
        assert 0.25 < row["submits_per_token"] <= 2


async def test_what_python_does_for_a_token_is_host_work(
    stories: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = BenchOptions(prompt_tokens=(4,), contexts=(16,), tokens=8, runs=1)
    bench = core.Bench(stories, options, lambda step: None)
    bench.bandwidth = 1.0
    plain = StreamDecoder.push_all

    def slow(self: StreamDecoder, ids: Sequence[int]) -> str:
        end = time.thread_time() + 0.01 * len(ids)
        while time.thread_time() < end:
            pass
        return plain(self, ids)

    monkeypatch.setattr(StreamDecoder, "push_all", slow)
    for row in await bench.decode(16):
        assert row["host_s_per_token"]["median"] > 0.009


def test_bytes_a_token_by_hand(results: dict[str, Any]) -> None:
    # stories260K in float32: all parameters but the embedding table, which is apart; then keys and
    # values of 5 layers with 4 heads of 8 in 2 bytes, half of the 16 tokens more than the context.
    weights = 4 * (292_800 - 512 * 64)
    for row in results["decode"]:
        cache = (row["context"] + 8) * 2 * 5 * 4 * 8 * 2
        # Rows of 172 are padded to 192: a tenth of these small matrices.
        assert weights + cache <= row["bytes_per_token"] < 1.1 * weights + cache
        share = row["bytes_per_token"] * row["tokens_per_s"]["median"]
        assert row["bandwidth_share"] == share / results["bandwidth"]["bytes_per_s"]


def test_the_table_and_json_hold_it_all(results: dict[str, Any]) -> None:
    assert json.loads(json.dumps(results)) == {
        **results,
        "options": {**results["options"], "prompt_tokens": [8, 40], "contexts": [32, 64, 9000]},
    }
    text = table(results)
    lines = {line[:27].strip(): line[27:].strip() for line in text.splitlines()}
    assert text.startswith("llama: 292,800 parameters, F32, 1.17 MB\n")
    assert results["engine"]["adapter"] in text.splitlines()[1]
    assert lines["load"].startswith("1.50 s")
    assert "header" in lines["load"] and "tokenizer" in lines["load"]
    assert "waiting for bytes" in lines["weights of it"]
    assert "asked for after" in lines["kernels, meanwhile"] and lines["tuning, then"]
    for label in ("prefill, 40 tokens", "decode, sampled, at 64"):
        assert "tokens/s  (" in lines[label]
    for label in ("host work, greedy, at 32", "host work, sampled, at 64"):
        assert " us" in lines[label]
    for label in ("decode, repeating, at 32", "decode, 3 at once, at 32"):
        assert "tokens/s  (" in lines[label]
    assert "ms" in lines["8 more after 100"]
    assert "dispatches, " in lines["a token at 32"]
    assert [line for line in text.splitlines()[3:-1] if len(line) >= 80] == []
    assert "left out: decoding at 9,000 tokens: with 16 more, over the context of 2,048" in text


async def test_tuned_shapes_are_measured_against_the_defaults(stories: Engine) -> None:
    executor = stories.loaded.executor
    default = executor.tuning
    bench = core.Bench(stories, QUICK, lambda step: None)
    assert await bench.tuning() is None, "nothing was tuned"
    gemv = next(p for p in problems_of(executor) if p.name.startswith("gemv"))
    tuned = replace(default, chosen={gemv.name: gemv.shapes[2]})
    steps = []
    try:
        await executor.retune(tuned)
        plan = executor.decoder.step

        async def noted(rows: int, keys: int) -> Plan:
            steps.append(executor.tuning)
            return await plan(rows, keys)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(executor.decoder, "step", noted)
            found = await bench.tuning()
        assert executor.tuning == tuned
    finally:
        await executor.retune(default)
    assert found and found["context"] == 32
    assert {len(found[name]["runs"]) for name in ("tuned", "default")} == {2}
    ratios = [t / d for t, d in zip(found["tuned"]["runs"], found["default"]["runs"], strict=True)]
    assert min(ratios) <= found["gain"] <= max(ratios)
    assert {len(tuning.chosen) for tuning in steps} == {0, 1}
    lines = list(tuning_lines(found, "1 of 6 shapes tuned in 0.10 s"))
    assert [line.split("  ")[0] for line in lines] == [
        "kernels: 1 of 6 shapes tuned in 0.10 s",
        "decode, tuned, at 32",
        "decode, default, at 32",
        "tuned / default",
    ]
    assert all(len(line) < 80 for line in lines)


async def test_runs_that_take_long_are_fewer(
    stories: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core.Bench, "long_seconds", 0)
    few = BenchOptions(prompt_tokens=(4,), contexts=(4,), tokens=2, runs=5)
    found = await run(stories, few)
    assert len(found["prefill"][0]["tokens_per_s"]["runs"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"tokens": 1}, {"runs": 0}, {"prompt_tokens": ()}, {"contexts": (0,)}, {"contexts": ()}],
)
def test_wrong_options(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        BenchOptions(**wrong)


@pytest.mark.parametrize("format", ["q4_0", "f16"])
async def test_a_random_model_runs_with_finite_numbers(format: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_random_model(path, "tiny", SHAPES["tiny"], format)
    async with await loaded(path, context_length=128) as engine:
        logits = await engine.logits(list(range(100)))
        # Activations are neither lost nor blown up: logits spread as those of trained models do.
        assert 1 < float(logits.std()) < 10
        found = await run(
            engine, BenchOptions(prompt_tokens=(16,), contexts=(16,), tokens=8, runs=1)
        )
        assert found["decode"][0]["tokens_per_s"]["median"] > 0


def test_the_command_makes_measures_and_keeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.gguf"
    words = ["bench", "--shape", "tiny", "--format", "q8_0", "--keep", str(path), "--json"]
    words += ["--runs", "1", "--prompt-tokens", "8", "--contexts", "8", "--tokens", "4"]
    words += ["--history", "3", "--together", "2"]
    status = main(words)
    shown = capsys.readouterr()
    if "no GPU adapter" in shown.err:
        pytest.skip(shown.err)
    assert status == 0
    found = json.loads(shown.out)
    assert found["engine"]["name"] == "tiny-q8_0, random"
    assert found["engine"]["quantization"] == "Q8_0"
    assert found["engine"]["context_length"] == 12  # no more cache than is needed
    assert found["load_s"] > 0
    assert path.stat().st_size > found["engine"]["file_bytes"]


class StreamDevice:
    """Reads memory at 1 GB/s, and takes a tenth of a second to say that it is done."""

    def __init__(self, memory: int = 1 << 40):
        self.info = AdapterInfo("fake", "", "")
        self.limits = Limits(1 << 30, 1 << 30)
        self.variant = Variant()
        self.memory = memory
        self.now = 0.0
        self.buffers: list[Buffer] = []
        self.queued = 0

    def create_buffer(self, label: str, size: int) -> Buffer:
        self.buffers.append(Buffer(label, size, None))
        return self.buffers[-1]

    async def check(self) -> None:
        if sum(buffer.size for buffer in self.buffers) > self.memory:
            raise webllm_py.GPUOutOfMemoryError("no memory")

    def free(self, buffer: Buffer) -> None:
        self.buffers.remove(buffer)

    async def record(self, label: str, dispatches: Any) -> Any:
        (dispatch,) = dispatches
        constants = dict(dispatch.kernel.overrides)
        groups = dispatch.groups[0] * dispatch.groups[1]
        read = 16 * groups * constants["THREADS"] * constants["READS"]
        assert read == dispatch.buffers["data"].size
        return read

    def drop(self, plan: Any) -> None:
        pass

    def replay(self, plan: Any, times: int) -> None:
        self.queued += plan * times

    async def idle(self) -> None:
        self.now += self.queued / 1e9 + 0.1
        self.queued = 0


async def test_the_wait_is_no_part_of_the_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    device: Any = StreamDevice()
    monkeypatch.setattr(bandwidth.time, "perf_counter", lambda: device.now)
    found = await bandwidth.measure_bandwidth(device)
    assert found["bytes_per_s"] == pytest.approx(1e9)
    assert found["buffer_bytes"] == 512 << 20
    assert device.buffers == []


async def test_bandwidth_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    device: Any = StreamDevice(memory=200 << 20)
    monkeypatch.setattr(bandwidth.time, "perf_counter", lambda: device.now)
    assert (await bandwidth.measure_bandwidth(device))["buffer_bytes"] == 128 << 20
    tiny: Any = StreamDevice(memory=1 << 20)
    with pytest.raises(webllm_py.GPUOutOfMemoryError):
        await bandwidth.measure_bandwidth(tiny)
    assert tiny.buffers == []
