"""Writes plans into wgpu-py's command encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from wgpu.backends.wgpu_native import ffi, lib

from webllm_py.gpu.device import Buffer

__all__ = ["Step", "encode_steps", "encode_timed_passes", "timestamp_period"]

Step: TypeAlias = tuple[Any, Any, tuple[int, int, int]]
"""A dispatch as wgpu-py has it: pipeline, bind group, workgroup counts."""


def encode_steps(compute: Any, steps: Sequence[Step]) -> None:
    """Encode steps into a compute pass.

    It calls wgpu-native directly, in a third of the time that wgpu-py's methods take: theirs is
    longer than a GPU takes for a step of a small model.
    """
    bound, encoder = None, compute._internal
    for pipeline, group, counts in steps:
        if pipeline is not bound:
            lib.wgpuComputePassEncoderSetPipeline(encoder, pipeline._internal)
            bound = pipeline
        lib.wgpuComputePassEncoderSetBindGroup(encoder, 0, group._internal, 0, ffi.NULL)
        lib.wgpuComputePassEncoderDispatchWorkgroups(encoder, *counts)


def encode_timed_passes(
    device: Any, passes: Sequence[Sequence[Step]], repeats: int
) -> tuple[Buffer, Any]:
    """Encode compute passes, one after the other, with a timestamp before and after each.

    Args:
        device: wgpu-py's.
        passes: the steps of each pass.
        repeats: how many times over each step is dispatched within its pass.

    Returns:
        A buffer of two uint64 ticks a pass, whose handle the caller destroys, and the encoder that
        fills it.
    """
    count = 2 * len(passes)
    queries = device.create_query_set(type="timestamp", count=count)
    ticks = device.create_buffer(size=8 * count, usage="QUERY_RESOLVE|COPY_SRC")
    encoder = device.create_command_encoder()
    for i, steps in enumerate(passes):
        writes = {
            "query_set": queries,
            "beginning_of_pass_write_index": 2 * i,
            "end_of_pass_write_index": 2 * i + 1,
        }
        compute = encoder.begin_compute_pass(timestamp_writes=writes)
        for pipeline, group, counts in steps:
            compute.set_pipeline(pipeline)
            compute.set_bind_group(0, group)
            for _ in range(repeats):
                compute.dispatch_workgroups(*counts)
        compute.end()
    encoder.resolve_query_set(queries, 0, count, ticks, 0)
    return Buffer("timestamps", 8 * count, ticks), encoder


def timestamp_period(queue: Any) -> float:
    """Seconds between two ticks of a queue's timestamps."""
    return 1e-9 * float(lib.wgpuQueueGetTimestampPeriod(queue._internal))
