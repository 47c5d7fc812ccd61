"""wgpu-py's own ways to fail, under the names of this package."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from webllm_py.errors import DeviceError, DeviceLostError, GPUOutOfMemoryError, NoAdapterError
from webllm_py.gpu.device import POOLED_BYTES, Dispatch, Plan
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner

wgpu = pytest.importorskip("wgpu")

from wgpu.backends import wgpu_native  # noqa: E402

from webllm_py.gpu.native import NativeDevice, open_native, readbacks  # noqa: E402

LOST = "Validation Error\n\nCaused by:\n  Parent device is lost"
NO_MEMORY = "Validation Error\n\nCaused by:\n  Not enough memory left."


@pytest.fixture
async def device() -> AsyncIterator[NativeDevice]:
    try:
        device = await open_native()
    except NoAdapterError as error:
        pytest.skip(f"no GPU adapter for wgpu: {error}")
    assert isinstance(device, NativeDevice)
    yield device
    device.close()


def raising(error: Exception) -> Any:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


async def test_closing_ends_reads_that_wait(device: NativeDevice) -> None:
    a, b = (device.create_buffer(name, 32 << 20) for name in "ab")
    for _ in range(50):
        device.copy(a, b, 32 << 20)
    reading = device.read(b, 0, 16)
    device.close()
    async with asyncio.timeout(60):
        with pytest.raises(DeviceLostError, match="was closed"):
            await reading
    with pytest.raises(DeviceLostError):
        device.read(b, 0, 16)


async def test_a_device_that_goes_away_is_noticed(device: NativeDevice) -> None:
    """Not even a read that would wait for ever keeps it from being told."""
    buffer = device.create_buffer("a", 16)
    await device.read(buffer, 0, 16)
    reading = device.read(buffer, 0, 16)
    device._device.destroy()
    async with asyncio.timeout(60):
        with pytest.raises(DeviceLostError, match=r"Engine\.recover\(\)"):
            await reading
    assert device.lost
    for call in (
        lambda: device.create_buffer("b", 16),
        lambda: device.write(buffer, 0, b"1234"),
        lambda: device.copy(buffer, buffer, 4),
        lambda: device.clear(buffer),
        lambda: device.read(buffer, 0, 4),
    ):
        with pytest.raises(DeviceLostError):
            call()


async def test_plans_go_on_with_larger_buffers(device: NativeDevice) -> None:
    owner, page = BufferOwner(device), bytes(range(16))
    step, kv = owner.create("step", 16), owner.create("kv", 32)
    copy = Dispatch(kernel("copy_page", UNITS=1), {"step": step, "kv": kv}, (1, 1, 1))
    plan = await device.record("copy", [copy])
    device.write(kv, 0, page)
    for source, target in ((0, 1), (1, 3)):
        if target * 16 >= kv.size:
            await owner.enlarge([kv], 64, 32)
        device.write(step, 8, struct.pack("<2I", source, target))
        device.replay(plan)
    assert await device.read(kv, 0, 64) == page * 2 + bytes(16) + page
    assert (device.n_buffers, device.allocated) == (2, owner.nbytes) == (2, 80)


async def test_one_watch_is_enough(device: NativeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readbacks, "PULSE_SECONDS", 60)
    loop = asyncio.get_running_loop()
    begun: list[Any] = []
    call_later = loop.call_later

    def counting(delay: float, callback: Any, *arguments: Any) -> Any:
        begun.append(callback)
        return call_later(delay, callback, *arguments)

    monkeypatch.setattr(loop, "call_later", counting)
    buffer = device.create_buffer("a", 16)
    for _ in range(5):
        await device.read(buffer, 0, 16)
    assert len(begun) == 1


async def test_watching_goes_on_after_a_pause(
    device: NativeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readbacks, "PULSE_SECONDS", 0.01)
    buffer = device.create_buffer("a", 16)
    await device.read(buffer, 0, 16)
    await asyncio.sleep(0.1)
    assert device._reads._watched_by is None
    reading = device.read(buffer, 0, 16)
    device._device.destroy()
    async with asyncio.timeout(60):
        with pytest.raises(DeviceLostError):
            await reading


async def test_the_host_clock_runs_while_there_is_work(device: NativeDevice) -> None:
    async with device.host_clock() as clock:
        pauses = []  # the least: what else the machine does may interrupt one
        for _ in range(3):
            before = clock()
            await asyncio.sleep(0.1)
            pauses.append(clock() - before)
        before = clock()
        done: asyncio.Future[None] = asyncio.Future()
        asyncio.get_running_loop().call_soon(work, 0.2, done)
        await done
        assert min(pauses) < 0.05
        assert clock() - before > 0.19


def work(seconds: float, done: asyncio.Future[None]) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    done.set_result(None)


async def test_times_grow_with_the_work(device: NativeDevice) -> None:
    if "timestamp-query" not in device.info.features:
        pytest.skip("this adapter offers no timestamp-query")
    plan = await stream_plan(device)
    # The best of several: another process may have the processor at any time.
    runs = [await device.profile(plan) for _ in range(3)]
    small, large = (min(times) for times in zip(*runs, strict=True))
    assert 0 < 4 * small < large
    of_one = min([(await device.profile(plan, 20))[0] for _ in range(3)])
    assert 0 < 4 * of_one < large


async def test_a_device_without_timestamps_says_so() -> None:
    adapter = await wgpu.gpu.request_adapter_async()
    if adapter is None:
        pytest.skip("no GPU adapter for wgpu")
    plain = NativeDevice(adapter, await adapter.request_device_async(), f16=False, subgroups=False)
    with pytest.raises(DeviceError, match="TIMESTAMP_QUERY"):
        await plain.profile(await stream_plan(plain))
    plain.close()


async def stream_plan(device: NativeDevice) -> Plan:
    """Two dispatches: the second reads 512 times what the first does."""
    dispatches = []
    for reads in (4, 2048):
        buffers = {
            "data": device.create_buffer("data", 16 * 64 * reads),
            "result": device.create_buffer("result", 16),
        }
        stream = kernel("bench_stream", THREADS=64, READS=reads, ACROSS=1)
        dispatches.append(Dispatch(stream, buffers, (1, 1, 1)))
    return await device.record("streams", dispatches)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (wgpu.GPUOutOfMemoryError("out"), GPUOutOfMemoryError),
        (wgpu.GPUValidationError(NO_MEMORY), GPUOutOfMemoryError),
        (MemoryError(), GPUOutOfMemoryError),
        (wgpu.GPUValidationError(LOST), DeviceLostError),
        (wgpu.GPUValidationError("something else"), DeviceError),
    ],
)
async def test_errors_of_wgpu_are_named(
    device: NativeDevice, monkeypatch: pytest.MonkeyPatch, error: Exception, named: type
) -> None:
    buffer = device.create_buffer("a", 16)
    with monkeypatch.context() as patch:
        patch.setattr(device._device, "create_buffer", raising(error))
        for call in (lambda: device.create_buffer("b", 16), lambda: device.read(buffer, 0, 12)):
            with pytest.raises(named) as caught:
                call()
            assert type(caught.value) is named
            assert bool(device.lost) == (named is DeviceLostError)
    monkeypatch.setattr(device._queue, "submit", raising(error))
    with pytest.raises(named):
        device.clear(buffer)


async def test_few_staging_buffers_are_kept_and_no_large_ones(
    device: NativeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    make = device._make_staging
    monkeypatch.setattr(
        device._reads, "_make_staging", lambda size: (made.append(size), make(size))[1]
    )
    buffer = device.create_buffer("a", 2 * POOLED_BYTES)
    for _ in range(3):
        await device.read(buffer, 0, POOLED_BYTES)
        await device.read(buffer, 0, 2 * POOLED_BYTES)
    assert made.count(POOLED_BYTES) == 1
    assert made.count(2 * POOLED_BYTES) == 3
    for size in (4, 252, 8):
        assert len(await device.read(buffer, 0, size)) == size
    assert made.count(256) == 1


async def test_an_adapter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WGPUPY_WGPU_ADAPTER_NAME", "no such adapter")
    with pytest.raises(NoAdapterError, match="no such adapter"):
        await open_native()


async def test_a_driver_that_gives_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(self: Any, **asked: Any) -> None:
        raise RuntimeError("Request device failed (3)")

    monkeypatch.setattr(wgpu_native.GPUAdapter, "request_device_async", refused)
    with pytest.raises(DeviceError, match=r"gives no device: Request device failed \(3\)"):
        await open_native()
