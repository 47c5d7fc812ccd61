"""A device that has no memory left, or is lost: errors with a name, and nothing stays behind."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from devices_that_fail import FailingDevice
from engine_tools import PRINTABLE_ONLY, answer_of, said
from made_models import SMALL
from model_files import Files

import webllm_py
from webllm_py import (
    DeviceLimitError,
    DeviceLostError,
    Engine,
    EngineClosedError,
    GPUOutOfMemoryError,
)
from webllm_py.gpu import Device
from webllm_py.gpu.device import Limits
from webllm_py.models.step import PAGE
from webllm_py.runtime.generation import speculation
from webllm_py.runtime.kv import cache
from webllm_py.runtime.kv.cache import FIRST_PAGES

pytestmark = pytest.mark.usefixtures("nothing_left")


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

    @pytest.mark.parametrize("late", [False, True])
    async def test_no_memory_for_answers_together(
        self, small_model: Path, device: Device, late: bool
    ) -> None:
        """Whichever allocation fails: nothing is left behind, and the same request goes through."""
        failing = FailingDevice(device, late=late)
        fields = {"prompt": "x" * 40, "n": 3, "max_tokens": 30, "seed": 4, "ignore_eos": True}
        async with await webllm_py.load(small_model, device=failing) as engine:
            engine.loaded.executor.cache.pages.clear()
            made = failing.created
            expected = await engine.completions.create(**fields)
            made = failing.created - made
            assert made > 5
            buffers = device.n_buffers
            for allocation in range(made):
                failing.fail_at = failing.created + allocation
                with pytest.raises(GPUOutOfMemoryError):
                    await engine.completions.create(**fields)
                assert device.n_buffers == buffers
                assert engine.loaded.executor.cache.pages.running == 0
            again = await engine.completions.create(**fields)
            assert [c.text for c in again.choices] == [c.text for c in expected.choices]

    @pytest.mark.parametrize("late", [False, True])
    async def test_no_memory_for_guesses(
        self, small_model: Path, device: Device, late: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What repeats itself is decoded one token at a time then."""
        monkeypatch.setattr(speculation, "STREAK", 0)
        failing = FailingDevice(device, late=late)
        fields = {"temperature": 0, "logit_bias": {65: 100}, "ignore_eos": True}
        async with await webllm_py.load(small_model, device=failing) as engine:
            made = failing.created
            expected = await said(engine, max_tokens=40, **fields)
            made = failing.created - made
            assert made > 1
            for allocation in range(made):
                failing.fail_at = failing.created + allocation
                assert await said(engine, max_tokens=40, **fields) == expected == "A" * 40

    async def test_finished_conversations_do_not_pile_up(
        self, files: Files, device: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In a large cache they keep as much room as the longest took, and then make room."""
        monkeypatch.setattr(cache, "KEEP_BYTES", 0)
        spec = replace(SMALL, name="long", context=2048)
        async with await webllm_py.load(files.gguf(spec), device=device) as engine:
            pages = engine.loaded.executor.cache.pages
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

    @pytest.mark.parametrize("late", [False, True])
    async def test_a_context_that_fits_is_offered(
        self, files: Files, device: Device, late: bool, small_batches: None
    ) -> None:
        """And the whole of it can be used, beside what others have."""
        path = files.gguf(replace(SMALL, name="wide", context=8192))
        async with await webllm_py.load(path, device=device, tune=False) as engine:
            whole = engine.loaded.owner.nbytes
        room = device.allocated + whole - 50_000
        full = FailingDevice(device, most_bytes=room, late=late)
        with pytest.raises(GPUOutOfMemoryError, match="no GPU memory") as caught:
            await webllm_py.load(path, device=full, tune=False)
        length = caught.value.context_length
        assert length and 64 <= length < 8192 and length % PAGE == 0
        assert f"load(context_length={length}) would fit" in str(caught.value)
        full = FailingDevice(device, most_bytes=room, late=late)
        async with await webllm_py.load(
            path, device=full, tune=False, context_length=length
        ) as engine:
            reply = await engine.completions.create(
                prompt="x" * (length - 30), max_tokens=100, ignore_eos=True
            )
            assert reply.usage.total_tokens == length

    async def test_no_context_fits(self, small_model: Path, device: Device) -> None:
        """Not even the weights do."""
        full = FailingDevice(device, most_bytes=device.allocated + 100_000)
        with pytest.raises(GPUOutOfMemoryError) as caught:
            await webllm_py.load(small_model, device=full, tune=False)
        assert caught.value.context_length is None

    async def test_a_conversation_that_outgrows_the_memory(
        self, small_model: Path, device: Device
    ) -> None:
        """What the cache holds is offered."""
        failing = FailingDevice(device, forever=True)
        async with await webllm_py.load(small_model, device=failing, tune=False) as engine:
            failing.fail_at = failing.created
            with pytest.raises(GPUOutOfMemoryError) as caught:
                await engine.completions.create(prompt="y" * 400, max_tokens=4)
        assert caught.value.context_length == FIRST_PAGES * PAGE

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
    async def test_in_the_middle_of_an_answer(self, small_model: Path) -> None:
        """The error has a name where the device is the caller's."""
        device = await webllm_py.gpu.open_device()
        async with await webllm_py.load(small_model, device=device) as own:
            stream = await own.completions.create(
                prompt="Once", max_tokens=400, logit_bias=PRINTABLE_ONLY, stream=True
            )
            await anext(stream)
            device.close()
            async with asyncio.timeout(60):
                with pytest.raises(DeviceLostError):
                    async for _ in stream:
                        pass
            with pytest.raises(DeviceLostError):
                await said(own)
            with pytest.raises(DeviceLostError):
                await own.logits([1, 2, 3])

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
