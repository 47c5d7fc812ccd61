"""The tuner on a device whose times are given: what it chooses, what it spends, what it keeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from timed_device import TimedDevice
from unloaded_models import executor_on

from webllm_py.errors import DeviceError, DeviceLostError
from webllm_py.fetch.store.texts import FolderStore
from webllm_py.gpu.device import Dispatch, Limits
from webllm_py.gpu.kernels import Kernel
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning import choices
from webllm_py.runtime.tuning import tuner as tuner_module
from webllm_py.runtime.tuning.choices import keep_choices, kept_choices
from webllm_py.runtime.tuning.problems import Problem, problems_of
from webllm_py.runtime.tuning.tuner import THOROUGH_SECONDS, Tuner, budget_for

BUDGET = 0.3
PROBLEMS = 7  # of the model below: five GEMVs, one of them in two ways, and attention


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(choices, "open_store", lambda kind: FolderStore(tmp_path / kind))
    return tmp_path / choices.KIND


def constants(dispatch: Dispatch) -> dict[str, float]:
    return dict(dispatch.kernel.overrides)


def by_shape(dispatch: Dispatch) -> float:
    """GEMVs take half the time with 2 quads, and with half of their workgroups; attention does not
    care."""
    found = constants(dispatch)
    if dispatch.kernel.name != "gemv":
        return 1e-6
    groups = ceil(found["SLICE"] / (4 * found["GROUPS"] * found["QUADS"]))
    share = dispatch.groups[0] * dispatch.groups[1] / groups
    return 1e-8 * found["SLICE"] * share * (0.5 if found["QUADS"] == 2 else 1.0)


async def tune(
    device: TimedDevice, patch: pytest.MonkeyPatch, asked: bool | None = None
) -> tuple[Executor, Tuner]:
    """As ``load`` does."""
    patch.setattr(time, "perf_counter", device.clock)
    executor = await executor_on(device)
    tuner = Tuner(executor, asked)
    try:
        await tuner.prepare(await kept_choices(device))
        if tuner._compiling:
            await tuner._compiling  # while weights arrive
        await tuner.finish()
    finally:
        await tuner.close()
    return executor, tuner


async def quads(executor: Executor) -> list[float]:
    """Those of a short and of a long step's GEMVs, as they are recorded now."""
    plans = [await executor.decoder.step(1, keys) for keys in (1, executor.fused_keys + 1)]
    dispatches = [dispatch for plan in plans for dispatch in plan.dispatches]
    return [constants(d)["QUADS"] for d in dispatches if d.kernel.name == "gemv"]


@pytest.mark.parametrize(
    ("tick", "scale"),
    [(1e-8, 1), (1e-4, 300), (None, 100)],
    ids=["exact", "rounded", "no clock"],
)
async def test_it_takes_the_faster_shape(
    tick: float | None, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = TimedDevice(lambda dispatch: scale * by_shape(dispatch), tick=tick)
    executor, tuner = await tune(device, monkeypatch)
    assert await quads(executor) == [2.0] * 10
    assert tuner.report.found == tuner.report.problems == PROBLEMS
    assert str(tuner.report).startswith("7 of 7 shapes tuned in 0.")
    attention = executor.tuning.chosen["attention 8/4x8 f16"]
    assert attention == (64, 32), "what is no faster stays as it is"


async def test_what_is_slower_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every shape but the default."""
    device = TimedDevice(by_shape)
    executor = await executor_on(device)
    default = {p.name: p.shapes[0] for p in problems_of(executor)}

    def seconds(dispatch: Dispatch) -> float:
        return 1e-4 * (1.0 if dispatch.kernel in usual else 1.02)

    usual = {
        dispatch.kernel
        for problem in problems_of(executor)
        for dispatch in problem.dispatches(problem.shapes[0], 1)[0]
    }
    device.seconds_of = seconds
    executor, tuner = await tune(device, monkeypatch)
    assert executor.tuning.chosen == default
    assert tuner.report.found == PROBLEMS


async def test_a_little_faster_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    device = TimedDevice(
        lambda dispatch: 1e-4 * (0.98 if constants(dispatch).get("QUADS") == 2 else 1.0)
    )
    executor, _ = await tune(device, monkeypatch)
    assert set(await quads(executor)) == {1.0}


async def test_times_that_scatter(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass of each dozen is interrupted for long, as by a page's own drawing."""
    calls = 0

    def seconds(dispatch: Dispatch) -> float:
        nonlocal calls
        calls += 1
        return 30 * by_shape(dispatch) + (3e-3 if calls % 12 == 0 else 0.0)

    executor, _ = await tune(TimedDevice(seconds), monkeypatch)
    assert set(await quads(executor)) == {2.0}


@pytest.mark.parametrize("scale", [1, 100, 3_000, 100_000])
async def test_the_budget_holds(scale: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On devices of every speed; the last takes 40 ms for the smallest part of a matrix."""
    device = TimedDevice(lambda dispatch: scale * by_shape(dispatch))
    _, tuner = await tune(device, monkeypatch)
    longest = max(sum(map(device.seconds_of, plan.dispatches)) for plan in device.timed)
    assert tuner.report.seconds < BUDGET + 0.02 + 6 * longest
    if scale <= 100:
        assert tuner.report.found == PROBLEMS
        assert tuner.report.seconds < BUDGET / 2, "what is clear takes no longer"


async def test_recording_leaves_time_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model with so many layers that not all trials can be recorded within the budget: loads
    find shapes one after the other, those of the largest matrices first."""
    found = []
    for _ in range(6):
        device = TimedDevice(by_shape, record_seconds=5e-3)
        executor, tuner = await tune(device, monkeypatch)
        assert tuner.report.seconds < BUDGET + 0.1
        found.append(tuner.report.found)
    first, *_ = problems_of(executor)
    assert 0 < found[0] < PROBLEMS and sum(found) == PROBLEMS
    assert executor.tuning.chosen[first.name][2] == 2


async def test_what_is_not_compiled_in_time_is_not_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = TimedDevice(by_shape)
    never = asyncio.Event()
    compile_all = device.compile
    compiled: set[Kernel] = set()

    async def compile_some(kernels: Iterable[Kernel]) -> None:
        some = set(kernels)
        if len(compiled) >= room and some - compiled:
            await never.wait()
        compiled.update(some)
        await compile_all(some)

    monkeypatch.setattr(time, "perf_counter", device.clock)
    executor = await executor_on(device)
    tuner = Tuner(executor, None)
    await tuner.prepare(await kept_choices(device))
    compiled |= executor.plans.kernels
    room = len(compiled) + 8
    monkeypatch.setattr(device, "compile", compile_some)
    await asyncio.wait_for(tuner.finish(), 60)
    await tuner.close()
    monkeypatch.setattr(device, "compile", compile_all)
    assert 0 < tuner.report.found < PROBLEMS
    assert set(tuner.report.shapes) == set(await kept_choices(device))
    assert set(await quads(executor)) == {1.0, 2.0}


@pytest.mark.parametrize("asked", [None, True])
async def test_where_compiling_is_slow(asked: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on SwiftShader: nothing is tried, unless it was asked for."""
    device = TimedDevice(lambda d: 30 * by_shape(d), compile_seconds=0.8)
    _, tuner = await tune(device, monkeypatch, asked)
    if asked is None:
        assert (tuner.report.found, device.timed) == (0, [])
        assert str(tuner.report) == "defaults, kernels compile too slowly to try others"
    else:
        assert tuner.report.found == PROBLEMS


async def test_the_next_load_finds_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    device = TimedDevice(by_shape)
    executor, _ = await tune(device, monkeypatch)
    again = TimedDevice(by_shape)
    looked = []

    def noted(executor: Executor, **options: bool) -> list[Problem]:
        looked.append(executor)
        return problems_of(executor, **options)

    monkeypatch.setattr(tuner_module, "problems_of", noted)
    other, next_tuner = await tune(again, monkeypatch)
    assert again.timed == [] and again.n_submits == 0
    assert len(looked) == 1, "with nothing left to try, the model is not passed through again"
    assert other.tuning == executor.tuning
    assert await quads(other) == await quads(executor)
    assert str(next_tuner.report) == "7 of 7 shapes as tuned before"
    assert next_tuner.report.seconds == 0


async def test_kept_shapes_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file from elsewhere may say: they would not compile."""
    device = TimedDevice(by_shape)
    names = [problem.name for problem in problems_of(await executor_on(device))]
    await keep_choices(device, {name: (3, 1000, 7) for name in names})
    executor, tuner = await tune(device, monkeypatch)
    assert tuner.report.found == PROBLEMS
    assert all(shape != (3, 1000, 7) for shape in executor.tuning.chosen.values())


async def test_a_device_that_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    device = TimedDevice(by_shape)

    async def fail(plans: object) -> list[float]:
        raise DeviceError("no query set")

    monkeypatch.setattr(device, "time_plans", fail)
    executor, tuner = await tune(device, monkeypatch)
    assert str(tuner.report) == "defaults" and executor.tuning.chosen == {}


async def test_a_device_that_is_lost_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    device = TimedDevice(by_shape)

    async def fail(plans: object) -> list[float]:
        raise DeviceLostError("gone")

    monkeypatch.setattr(device, "time_plans", fail)
    with pytest.raises(DeviceLostError):
        await tune(device, monkeypatch)


async def test_shapes_stay_within_the_default_limits() -> None:
    device = TimedDevice(by_shape)
    assert device.limits == Limits()
    for problem in problems_of(await executor_on(device)):
        assert len(set(problem.shapes)) == len(problem.shapes) > 3
        for shape in problem.shapes:
            for dispatch in problem.dispatches(shape, 1)[0]:
                assert constants(dispatch).get("THREADS", 64) <= 256
                assert min(dispatch.groups) > 0


@pytest.mark.parametrize(
    ("is_cpu", "asked", "budget"),
    [
        (False, None, BUDGET),
        (False, False, 0),
        (True, None, 0),
        (True, True, THOROUGH_SECONDS),
        (False, True, THOROUGH_SECONDS),
    ],
)
def test_who_is_tuned_unasked(is_cpu: bool, asked: bool | None, budget: float) -> None:
    device: Any = TimedDevice(by_shape, is_cpu=is_cpu)
    assert budget_for(device, asked) == budget


async def test_part_of_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a whole one takes too long; and not every problem, where there is too little time."""
    device = TimedDevice(lambda dispatch: 2_000 * by_shape(dispatch))
    executor, tuner = await tune(device, monkeypatch)
    assert 0 < tuner.report.found < PROBLEMS
    gemvs = [shape for name, shape in executor.tuning.chosen.items() if name.startswith("gemv")]
    assert {shape[2] for shape in gemvs} == {2}


async def test_where_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even what is kept is taken: a result depends on nothing but the device."""
    device = TimedDevice(by_shape)
    await tune(device, monkeypatch)
    executor, tuner = await tune(TimedDevice(by_shape), monkeypatch, False)
    assert await kept_choices(device) and executor.tuning.chosen == {}
    assert tuner.report.seconds == 0
