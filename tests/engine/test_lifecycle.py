"""From load to unload, and everything that can end it in between: nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from engine_tools import PRINTABLE_ONLY, answer_of, said
from made_models import SMALL
from model_files import Files

import webllm_py
from webllm_py import (
    DeviceLostError,
    Engine,
    EngineClosedError,
    LoadProgress,
    MissingFileError,
)
from webllm_py.gpu import Device
from webllm_py.gpu.kernels import Kernel
from webllm_py.gpu.native import NativeDevice
from webllm_py.loading import SharedDevice
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.weights import progress

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def damaged(small_model: Path, tmp_path: Path) -> Path:
    """The small model's file without its end."""
    path = tmp_path / "damaged.gguf"
    path.write_bytes(small_model.read_bytes()[:-5000])
    return path


class TestUnload:
    async def test_frees_everything(self, small_model: Path, device: Device) -> None:
        before = device.n_buffers
        engine = await webllm_py.load(small_model, device=device)
        assert device.n_buffers > before + 20
        assert engine.info["gpu_memory"] == engine.loaded.owner.nbytes > 500_000
        await said(engine)
        await engine.unload()
        assert device.n_buffers == before
        assert device.lost is None, "a device that was given is not closed"

    async def test_closes_a_device_of_its_own(self, small_model: Path) -> None:
        engine = await webllm_py.load(small_model)
        own = engine.loaded.owner.device
        await engine.unload()
        assert (own.n_buffers, own.allocated) == (0, 0)
        assert isinstance(own.lost, DeviceLostError)

    async def test_leaves_one_that_stays_with_its_kernels(
        self, small_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compiled: list[Kernel] = []
        compile = NativeDevice._compile
        monkeypatch.setattr(
            NativeDevice, "_compile", lambda self, k: compiled.append(k) or compile(self, k)
        )
        shared = SharedDevice("low-power", stays=True)
        counts = []
        for _ in range(2):
            async with await webllm_py.load(small_model, device=shared) as engine:
                await said(engine)
                device = engine.loaded.owner.device
            assert (device.n_buffers, device.lost) == (0, None)
            counts.append(len(compiled))
        assert counts[0] == counts[1] > 10
        shared.close()
        assert isinstance(device.lost, DeviceLostError)

    async def test_makes_room_for_another_once_its_files_are_a_model_s(
        self, small_model: Path, damaged: Path, device: Device, tmp_path: Path
    ) -> None:
        shared, told = SharedDevice(device), []

        async def free() -> None:
            told.append(device.n_buffers)

        engine = await webllm_py.load(small_model, device=shared)
        held, shared.before_weights = device.n_buffers, free
        for source in (tmp_path / "none.gguf", damaged):
            with pytest.raises(webllm_py.WebLLMError):
                await webllm_py.load(source, device=shared)
            assert told == [] and await said(engine)
        async with await webllm_py.load(small_model, device=shared):
            assert told == [held], "before anything of the other is on the device"
        await engine.unload()

    async def test_twice(self, small_model: Path, device: Device) -> None:
        engine = await webllm_py.load(small_model, device=device)
        answer = asyncio.create_task(said(engine, max_tokens=400))
        await asyncio.sleep(0)
        await asyncio.gather(engine.unload(), engine.unload())
        await answer
        await engine.unload()

    async def test_each_call_has_an_event_loop_of_its_own(self, small_model: Path) -> None:
        """As a script has it that calls ``asyncio.run`` for each."""

        def script() -> tuple[int, ...]:
            engine = asyncio.run(webllm_py.load(small_model, tune=False))
            own = engine.loaded.owner.device
            assert asyncio.run(said(engine)) == asyncio.run(said(engine))
            asyncio.run(engine.unload())
            return own.n_buffers, own.allocated

        assert await asyncio.to_thread(script) == (0, 0)

    async def test_afterwards_every_call_says_so(self, small_model: Path, device: Device) -> None:
        engine = await webllm_py.load(small_model, device=device)
        await engine.unload()
        engine.interrupt()
        calls: list[Callable[[], Any]] = [
            lambda: engine.completions.create(prompt="x"),
            lambda: engine.completions.create(prompt="x", stream=True),
            lambda: engine.chat.completions.create(messages=[{"role": "user", "content": "x"}]),
            lambda: engine.logits([1]),
            lambda: engine.recover(),
        ]
        for call in calls:
            with pytest.raises(EngineClosedError, match="load the model again"):
                await call()
        for name in ("tokenizer", "info", "name", "loaded"):
            with pytest.raises(EngineClosedError):
                getattr(engine, name)

    async def test_interrupts_the_answer_and_sends_the_others_away(
        self, small_model: Path, device: Device
    ) -> None:
        engine = await webllm_py.load(small_model, device=device)
        fields = {"prompt": "x", "max_tokens": 400, "logit_bias": PRINTABLE_ONLY}
        under_way = await engine.completions.create(**fields, stream=True)
        await anext(under_way)
        waiting_logits = asyncio.create_task(engine.logits([1, 2]))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(engine.completions.create(**fields))
        waiting_stream = await engine.completions.create(**fields, stream=True)
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await engine.unload()
        pieces = [piece async for piece in under_way]
        assert pieces[-1].choices[0].finish_reason == "abort"
        for task in (waiting, waiting_logits):
            with pytest.raises(EngineClosedError, match="before this request's turn came"):
                await task
        with pytest.raises(EngineClosedError):
            await anext(waiting_stream)

    async def test_an_error_in_the_block_unloads(self, small_model: Path, device: Device) -> None:
        with pytest.raises(ZeroDivisionError):
            async with await webllm_py.load(small_model, device=device):
                raise ZeroDivisionError

    async def test_engines_that_share_a_device(
        self, small_model: Path, device: Device, engine: Engine
    ) -> None:
        expected = await said(engine, max_tokens=8)
        other = await webllm_py.load(small_model, device=device)
        together = await asyncio.gather(*(said(e, max_tokens=8) for e in (engine, other, engine)))
        assert together == [expected] * 3
        await other.unload()
        assert await said(engine, max_tokens=8) == expected


@pytest.fixture
def every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report for every piece, however fast they come."""
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0)


@pytest.mark.usefixtures("every_report", "small_batches")
class TestProgress:
    async def test_stages_and_bytes(self, small_model: Path, device: Device) -> None:
        reports: list[LoadProgress] = []
        engine = await webllm_py.load(small_model, device=device, on_progress=reports.append)
        await engine.unload()
        stages = list(dict.fromkeys(report.stage for report in reports))
        assert stages == ["opening", "tokenizer", "weights", "kernels", "ready"]
        assert reports[0].total is None
        weights = [report for report in reports if report.stage == "weights"]
        assert len({report.total for report in weights}) == 1
        loaded = [report.loaded for report in weights]
        assert loaded == sorted(loaded) and loaded[0] == 0
        assert loaded[-1] == weights[0].total == reports[-1].loaded
        assert weights[-1].bytes_per_second > 0
        assert all(report.text for report in reports)
        assert len(weights) > 5

    async def test_cancelled_at_each_report(self, small_model: Path, device: Device) -> None:
        """Every stage and every piece of the weights."""

        class CancelAt:
            """Cancels a task at the nth report."""

            task: asyncio.Task[Engine]

            def __init__(self, nth: int | None):
                self.nth, self.seen = nth, 0

            def __call__(self, report: LoadProgress) -> None:
                if self.seen == self.nth:
                    self.task.cancel()
                self.seen += 1

        counting = CancelAt(None)
        expected = await answer_of(small_model, device, on_progress=counting)
        for nth in range(counting.seen):
            cancel = CancelAt(nth)
            before = device.n_buffers
            cancel.task = asyncio.create_task(
                webllm_py.load(small_model, device=device, on_progress=cancel)
            )
            with pytest.raises(asyncio.CancelledError):
                await cancel.task
            assert device.n_buffers == before
        assert await answer_of(small_model, device) == expected

    async def test_an_error_of_the_caller_s_own(self, small_model: Path, device: Device) -> None:
        """on_progress raises at each of its calls."""
        for nth in range(30):
            calls = 0

            def fail(report: LoadProgress, nth: int = nth) -> None:
                nonlocal calls
                calls += 1
                if calls > nth:
                    raise ZeroDivisionError

            try:
                engine = await webllm_py.load(small_model, device=device, on_progress=fail)
            except ZeroDivisionError:
                continue
            await engine.unload()
            break
        assert nth > 5


class TestLoad:
    @pytest.mark.usefixtures("small_batches")
    @pytest.mark.parametrize("rounds", [0, 1, 2, 3, 4, 5, 6, 8, 10, 14, 20, 30])
    async def test_cancelled_at_any_moment(
        self, small_model: Path, device: Device, rounds: int
    ) -> None:
        task = asyncio.create_task(webllm_py.load(small_model, device=device))
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await task).unload()

    async def test_cancelled_while_its_own_device_compiles(
        self, small_model: Path, files: Files
    ) -> None:
        """The device goes away while threads still compile for it."""
        for delay in (0.0, 0.05, 0.1, 0.2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(delay):
                    engine = await webllm_py.load(files.huggingface(SMALL))
                    await engine.unload()
                    raise TimeoutError  # a machine that is faster than this

    @pytest.mark.parametrize(
        "options",
        [
            {"context_length": 0},
            {"context_length": -5},
            {"context_length": 1.5},
            {"context_length": True},
            {"quantize": "q5"},
            {"quantize": {"*": "q5"}},
            {"kv_dtype": "q4"},
            {"tune": "always"},
            {"device": "fastest"},
            {"device": 5},
            {"on_progress": "bar"},
            {"fetch": True},
        ],
    )
    async def test_wrong_arguments(self, small_model: Path, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(options))):
            await webllm_py.load(small_model, **options)

    async def test_a_shorter_context(self, small_model: Path, device: Device) -> None:
        async with await webllm_py.load(small_model, device=device, context_length=40) as engine:
            assert engine.info["context_length"] == 40
            assert engine.info["trained_context_length"] == 500
            with pytest.raises(webllm_py.ContextLengthError, match="40 tokens"):
                await engine.completions.create(prompt="x" * 40)

    async def test_advice_only_where_it_helps(self, small_model: Path, device: Device) -> None:
        """A larger context_length changes nothing where the model holds no more."""
        for length, helps in ((None, False), (10**9, False), (numpy.int64(40), True)):
            async with await webllm_py.load(
                small_model, device=device, context_length=length
            ) as engine:
                with pytest.raises(webllm_py.ContextLengthError) as caught:
                    await engine.completions.create(prompt=[65] * 500)
                assert ("load the model with a larger context_length" in str(caught.value)) == helps


async def test_nothing_goes_on_behind_a_load_that_is_cancelled_at_its_end(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plans of long prompts would be recorded on buffers that are freed."""
    begun: list[Executor] = []
    monkeypatch.setattr(Executor, "prepare_behind", lambda self: begun.append(self))
    task = asyncio.current_task()
    assert task

    def cancel(progress: LoadProgress) -> None:
        if progress.stage == "ready":
            task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await webllm_py.load(device=device, on_progress=cancel)
    task.uncancel()
    assert not begun
    async with await webllm_py.load(device=device) as engine:
        assert begun == [engine.loaded.executor]


async def test_a_model_whose_adapters_do_not_come_back_is_freed(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(device, NativeDevice)
    before = device.n_buffers
    engine = await webllm_py.load(device=device)

    async def missing(self: Engine) -> None:
        raise MissingFileError("the adapter is gone")

    monkeypatch.setattr(Engine, "_restore", missing)
    with pytest.raises(MissingFileError):
        await engine.recover()
    assert device.n_buffers == before
    await engine.unload()
