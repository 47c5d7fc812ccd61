"""The memory bandwidth of a device, measured by reading one large buffer over and over."""

from __future__ import annotations

import time

from webllm_py.errors import GPUOutOfMemoryError
from webllm_py.gpu.device import Buffer, Device, Dispatch, Plan
from webllm_py.gpu.kernels import kernel
from webllm_py.gpu.owner import BufferOwner

__all__ = ["measure_bandwidth", "seconds_each", "seconds_of"]

THREADS, READS = 256, 16
GROUP_BYTES = 16 * THREADS * READS
# Far over the caches of a GPU (50 MB on an H100), and of a CPU that plays one.
GPU_BYTES, CPU_BYTES = 512 << 20, 64 << 20
LEAST_SECONDS = 0.05
REPEATS = 5


async def measure_bandwidth(device: Device) -> dict[str, float]:
    """Bytes a second that a plain kernel reads, and the size of the buffer that it read.

    The best of several times, as streaming benchmarks have it; the wait for the GPU is taken out
    by timing a number of passes and twice that number.

    Raises:
        GPUOutOfMemoryError: no memory for even a small buffer.
    """
    owner = BufferOwner(device)
    try:
        data = await large_buffer(device, owner)
        plan = await stream_plan(device, data, owner.create("bench result", 16))
        passes = 1
        await seconds_of(device, plan, passes)
        while await seconds_of(device, plan, passes) < LEAST_SECONDS:
            passes *= 2
        once = min([await seconds_of(device, plan, passes) for _ in range(REPEATS)])
        twice = min([await seconds_of(device, plan, 2 * passes) for _ in range(REPEATS)])
        device.drop(plan)
        seconds = seconds_each(once, twice, passes)
        return {"bytes_per_s": data.size / seconds, "buffer_bytes": data.size}
    finally:
        owner.free_all()


async def large_buffer(device: Device, owner: BufferOwner) -> Buffer:
    """A buffer that is as large as is useful, or smaller where memory is short."""
    limits = device.limits
    size = min(
        CPU_BYTES if device.info.is_cpu else GPU_BYTES,
        limits.max_buffer_size,
        limits.max_storage_buffer_binding_size,
    )
    while True:
        size -= size % GROUP_BYTES
        try:
            buffer = owner.create("bench stream", size)
            await device.check()
            return buffer
        except GPUOutOfMemoryError:
            owner.free_all()
            if size < CPU_BYTES:
                raise
            size //= 2


async def stream_plan(device: Device, data: Buffer, result: Buffer) -> Plan:
    """One pass over the data."""
    groups = data.size // GROUP_BYTES
    across = min(groups, device.limits.max_compute_workgroups_per_dimension)
    stream = kernel("bench_stream", THREADS=THREADS, READS=READS, ACROSS=across)
    buffers = {"data": data, "result": result}
    dispatch = Dispatch(stream, buffers, (across, -(-groups // across), 1))
    return await device.record("bench stream", [dispatch])


def seconds_each(once: float, twice: float, passes: int) -> float:
    """Seconds of a pass without the wait, from the times of ``passes`` and of twice as many.

    Where noise drowns the difference, the longer time alone is what is known.
    """
    return (twice - once) / passes if twice > 1.5 * once else twice / (2 * passes)


async def seconds_of(device: Device, plan: Plan, times: int) -> float:
    """Seconds that ``times`` replays of a plan take, with the wait for their end."""
    start = time.perf_counter()
    device.replay(plan, times)
    await device.idle()
    return time.perf_counter() - start
