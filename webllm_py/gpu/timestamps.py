"""GPU timestamps around compute passes: wgpu-py's, and how both devices' are read."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, TypeAlias

from webllm_py.gpu.device import Buffer

__all__ = ["durations", "timed_passes"]


Step: TypeAlias = tuple[Any, Any, tuple[int, int, int]]


def timed_passes(device: Any, passes: Sequence[Sequence[Step]], repeats: int) -> tuple[Buffer, Any]:
    """Passes one after the other, the steps of each so many times over.

    Args:
        device: wgpu-py's.
        passes: pipeline, bind group and workgroup counts of each step.

    Returns:
        A buffer for the ticks before and after each pass, uint64, whose handle the caller destroys;
        and the encoder that fills it.
    """
    count = 2 * len(passes)
    queries = device.create_query_set(type="timestamp", count=count)
    ticks = device.create_buffer(size=8 * count, usage="QUERY_RESOLVE|COPY_SRC")
    encoder = device.create_command_encoder()
    for i, steps in enumerate(passes):
        around = {
            "query_set": queries,
            "beginning_of_pass_write_index": 2 * i,
            "end_of_pass_write_index": 2 * i + 1,
        }
        compute = encoder.begin_compute_pass(timestamp_writes=around)
        for pipeline, group, counts in steps:
            compute.set_pipeline(pipeline)
            compute.set_bind_group(0, group)
            for _ in range(repeats):
                compute.dispatch_workgroups(*counts)
        compute.end()
    encoder.resolve_query_set(queries, 0, count, ticks, 0)
    return Buffer("timestamps", 8 * count, ticks), encoder


def durations(data: bytes) -> list[int]:
    """Ticks between the two of each pair of uint64; 0 where a device's clock went backwards."""
    ticks = array("Q", data)
    return [max(0, end - begin) for begin, end in zip(ticks[::2], ticks[1::2], strict=True)]
