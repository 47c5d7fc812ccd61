"""Vectors that are added to the residual stream while a model writes (activation addition,
arXiv 2308.10248)."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import replace

from webllm_py.models.activations import padded
from webllm_py.runtime.executor import Executor

__all__ = ["steer"]


async def steer(executor: Executor, vectors: Mapping[int, array[float]]) -> None:
    """From now on add each vector to every row that leaves its layer; without any, none.

    Finished sequences are forgotten, because their keys and values came about otherwise. Nothing
    may be under way.

    Raises:
        GPUOutOfMemoryError: no memory for a vector; then none is added.
    """
    executor.plans.drop()
    executor.cache.pages.clear()
    executor.owner.free(*executor.buffers.steering.values())
    executor.buffers = replace(executor.buffers, steering={})
    made = {}
    try:
        for layer, vector in vectors.items():
            made[layer] = executor.owner.create(f"steering {layer}", 4 * padded(len(vector)))
            executor.device.write(made[layer], 0, vector.tobytes())
        await executor.device.check()
    except BaseException:
        executor.owner.free(*made.values())
        raise
    executor.buffers = replace(executor.buffers, steering=made)
