"""Steps whose activations are rounded to 8 bits: where they may be, and whether they are right.

Dot products of 4 bytes leave a step of a large model waiting for its weights alone. What they round
is some 1 in 200 of a result, so they are taken only where they clearly pay, and where a layer's
result is the exact kernel's but for that.
"""

from __future__ import annotations

from array import array

from webllm_py.models.activations import padded
from webllm_py.models.step import Row
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning.gemm_trial import MATRIX, MOST_DEVIATION, deviation, offers_dot4

__all__ = ["ROUNDING", "offers_rounding", "rounds_right"]

# What the times of a shape that rounds are multiplied with before they are compared.
ROUNDING = 1.1


def offers_rounding(executor: Executor) -> bool:
    """Whether the device has the dot products, and nobody asked for float32."""
    known = MATRIX in executor.weights.matrices
    return known and executor.kv_format != "f32" and offers_dot4(executor.device)


async def rounds_right(executor: Executor) -> bool:
    """Whether the first layer's matrix gives the same either way, but for the rounding, of the
    embedding of a token."""
    executor.write_rows([Row(1, 0)])
    graph = executor.graph(1)
    graph.embed("token_embd")
    embedding = [*graph.dispatches]
    graph.gated_linear(MATRIX)
    if not all(linear.shapes_rounding for linear in graph.linears):
        return False
    device, found = executor.device, []
    for rounding in (False, True):
        linears = [
            linear.gemv(linear.shapes_rounding[0]) if rounding else linear.gemv()
            for linear in graph.linears
        ]
        plan = await device.record("rounding", [*embedding, *linears])
        device.clear(executor.buffers.gated)
        device.replay(plan)
        nbytes = 4 * padded(executor.model.config.intermediate_size)
        found.append(array("f", await device.read(executor.buffers.gated, 0, nbytes)))
        device.drop(plan)
    return deviation(*found) < MOST_DEVIATION["dot4"]
