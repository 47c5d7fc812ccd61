"""From load to unload, and everything that can end it in between: nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import Files
from devices_that_fail import FailingDevice
from engine_tools import PRINTABLE_ONLY, said
from made_models import SMALL

import webllm_py
from webllm_py import (
    DeviceLimitError,
    DeviceLostError,
    Engine,
    EngineClosedError,
    GPUOutOfMemoryError,
    LoadProgress,
)
from webllm_py.gpu import Device
from webllm_py.gpu.device import Limits
from webllm_py.models.step import PAGE
from webllm_py.runtime import executor, progress
from webllm_py.runtime.executor import FIRST_PAGES


def open_files(folder: Path) -> list[str]:
    """The files below a folder that this process holds open."""
    if not sys.platform.startswith("linux"):
        return []
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        try:
            target = str(handle.readlink())
        except OSError:
            continue  # the handle of this very listing
        if target.startswith(str(folder)):
            found.append(target)
    return found


@pytest.fixture(autouse=True)
async def nothing_left(device: Device, files: Files, engine: Engine) -> AsyncIterator[None]:
    """The shared engine's own buffers and file stay, and no other."""

    def others() -> tuple[int, int, list[str]]:
        nbytes = device.allocated - engine.loaded.owner.nbytes  # its cache may have grown
        return device.n_buffers, nbytes, sorted(open_files(files.folder))

    before = others()
    yield
    assert others() == before


async def answer_of(source: Path, device: Any, **options: Any) -> str:
    async with await webllm_py.load(source, device=device, **options) as engine:
        return await said(engine, max_tokens=8)


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

    async def test_twice(self, small_model: Path, device: Device) -> None:
        engine = await webllm_py.load(small_model, device=device)
        answer = asyncio.create_task(said(engine, max_tokens=400))
        await asyncio.sleep(0)
        await asyncio.gather(engine.unload(), engine.unload())
        await answer
        await engine.unload()

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
        waiting = asyncio.create_task(engine.completions.create(**fields))
        waiting_stream = await engine.completions.create(**fields, stream=True)
        waiting_logits = asyncio.create_task(engine.logits([1, 2]))
        await asyncio.sleep(0)
        async with asyncio.timeout(2):
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


@pytest.mark.usefixtures("every_report")
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
            {"kv_dtype": "q8"},
            {"device": "fastest"},
            {"device": 5},
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


class TestMemory:
    @pytest.mark.parametrize("late", [False, True])
    async def test_no_memory_at_any_point_of_a_load(
        self, small_model: Path, device: Device, late: bool
    ) -> None:
        """Each allocation in turn is the one that fails, told at once or at the next check."""
        counting = FailingDevice(device)
        expected = await answer_of(small_model, counting)
        assert counting.created > 30
        for fail_at in range(counting.created):
            failing = FailingDevice(device, fail_at=fail_at, late=late)
            before = device.n_buffers
            with pytest.raises(GPUOutOfMemoryError, match="no GPU memory for"):
                await webllm_py.load(small_model, device=failing)
            assert device.n_buffers == before
        assert await answer_of(small_model, device) == expected

    @pytest.mark.parametrize("late", [False, True])
    async def test_no_memory_for_a_growing_conversation(
        self, small_model: Path, device: Device, late: bool
    ) -> None:
        """The cache has 256 positions and cannot grow: longer requests fail, others do not."""
        failing = FailingDevice(device, late=late, forever=True)
        fields = {"temperature": 0, "logit_bias": PRINTABLE_ONLY, "ignore_eos": True}
        async with await webllm_py.load(small_model, device=failing) as engine:
            short = await said(engine)
            buffers = device.n_buffers
            for layer in range(SMALL.layers):
                for prompt, count in (("y" * 400, 4), ("z" * 200, 200)):
                    failing.fail_at = failing.created + layer
                    with pytest.raises(GPUOutOfMemoryError):
                        await engine.completions.create(prompt=prompt, max_tokens=count, **fields)
                    assert device.n_buffers == buffers
                    assert await said(engine) == short, "what fills the cache must make room"
                    reply = await engine.completions.create(
                        prompt="x" * 200, max_tokens=55, **fields
                    )
                    assert reply.usage.completion_tokens == 55
            failing.fail_at = None
            reply = await engine.completions.create(prompt="y" * 400, max_tokens=50, **fields)
            assert reply.usage.completion_tokens == 50
            assert await said(engine) == short

    async def test_finished_conversations_do_not_pile_up(
        self, files: Files, device: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In a large cache they keep as much room as the longest took, and then make room."""
        monkeypatch.setattr(executor, "KEEP_BYTES", 0)
        spec = replace(SMALL, name="long", context=2048)
        async with await webllm_py.load(files.gguf(spec), device=device) as engine:
            pages = engine.loaded.executor.pages
            for length in (100, 400):
                longest = -(-(length + 20) // PAGE)
                for first in "abcdefgh":
                    await engine.completions.create(
                        prompt=first * length, max_tokens=20, ignore_eos=True
                    )
                    assert pages.capacity <= max(FIRST_PAGES, 2 * longest)
            assert pages.used > longest, "one of the finished ones is still there"

    async def test_no_memory_for_logits(self, small_model: Path, device: Device) -> None:
        failing = FailingDevice(device)
        async with await webllm_py.load(small_model, device=failing) as engine:
            before = device.n_buffers
            for k in range(1 + SMALL.layers):
                failing.fail_at = failing.created + k
                with pytest.raises(GPUOutOfMemoryError):
                    await engine.logits([65] * 100)
                assert device.n_buffers == before
            assert (await engine.logits([65] * 100)).shape == (100, SMALL.vocab)

    @pytest.mark.parametrize("limit", [256, 4096, 16384, 50_000])
    async def test_limits_that_are_too_small(
        self, small_model: Path, device: Device, limit: int
    ) -> None:
        """Some buffer that cannot be cut up is larger than the device binds."""
        small = FailingDevice(device, limits=Limits(limit, limit))
        with pytest.raises(DeviceLimitError, match=r"MiB|KiB|bytes"):
            await webllm_py.load(small_model, device=small)

    async def test_weights_in_slices(
        self, small_model: Path, device: Device, engine: Engine
    ) -> None:
        """A binding that holds a quarter of the largest matrix: the answers are the same."""
        limits = Limits(64 << 10, 64 << 10)
        sliced = FailingDevice(device, limits=limits)
        async with await webllm_py.load(small_model, device=sliced, context_length=128) as other:
            slices = other.loaded.executor.weights.matrices["token_embd"][1]
            assert len(slices) >= 2
            assert await said(other) == await said(engine)


class TestLoss:
    async def test_in_the_middle_of_an_answer(self, small_model: Path, engine: Engine) -> None:
        """The error has a name, and recover starts again with a new device."""
        expected = await said(engine)
        async with await webllm_py.load(small_model) as own:
            stream = await own.completions.create(
                prompt="Once", max_tokens=400, logit_bias=PRINTABLE_ONLY, stream=True
            )
            await anext(stream)
            lost = own.loaded.owner.device
            lost.close()
            async with asyncio.timeout(10):
                with pytest.raises(DeviceLostError):
                    async for _ in stream:
                        pass
            with pytest.raises(DeviceLostError):
                await said(own)
            with pytest.raises(DeviceLostError):
                await own.logits([1, 2, 3])
            await own.recover()
            assert own.loaded.owner.device is not lost
            assert await said(own) == expected

    async def test_requests_that_wait_for_the_recovery(
        self, small_model: Path, engine: Engine
    ) -> None:
        expected = await said(engine)
        async with await webllm_py.load(small_model) as own:
            own.loaded.owner.device.close()
            _, text = await asyncio.gather(own.recover(), said(own))
            assert text == expected

    async def test_a_device_that_was_given(self, small_model: Path) -> None:
        device = await webllm_py.gpu.open_device()
        engine = await webllm_py.load(small_model, device=device)
        device.close()
        for _ in range(2):
            with pytest.raises(DeviceLostError, match="open a new one"):
                await engine.recover()
        with pytest.raises(EngineClosedError, match="recovering this engine failed"):
            await said(engine)
        await engine.unload()

    async def test_a_recovery_that_fails_can_be_tried_again(
        self, files: Files, tmp_path: Path, engine: Engine
    ) -> None:
        path = tmp_path / "model.gguf"
        path.write_bytes(files.gguf(SMALL).read_bytes())
        async with await webllm_py.load(path) as own:
            own.loaded.owner.device.close()
            path.rename(tmp_path / "away.gguf")
            with pytest.raises(webllm_py.SourceError):
                await own.recover()
            (tmp_path / "away.gguf").rename(path)
            await own.recover()
            assert await said(own) == await said(engine)

    async def test_recovering_a_device_that_works(self, small_model: Path, device: Device) -> None:
        async with await webllm_py.load(small_model, device=device) as engine:
            expected = await said(engine)
            before = device.n_buffers
            await engine.recover()
            assert device.n_buffers == before
            assert await said(engine) == expected
