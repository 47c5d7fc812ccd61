"""Steps whose activations are rounded to 8 bits: where they may be, and whether they are right.

Dot products of 4 bytes leave a step of a large model waiting for its weights alone. What they round
is some 1 in 200 of a result, so they are taken only where they clearly pay, and where a layer's
result is the exact kernel's but for that.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from webllm_py.gpu.device import Dispatch
from webllm_py.models.activations import padded
from webllm_py.models.linear import Linear
from webllm_py.models.step import Row
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning.gemm_trial import MATRIX, MOST_DEVIATION, deviation, offers_dot4

__all__ = ["ROUNDING", "offers_rounding", "rounds_right"]

# What the times of a shape that rounds are multiplied with before they are compared.
ROUNDING = 1.1
FEW = 8  # rows that are checked together


def offers_rounding(executor: Executor) -> bool:
    """Whether the device has the dot products, and nobody asked for float32."""
    known = MATRIX in executor.weights.matrices
    return known and executor.kv_format != "f32" and offers_dot4(executor.device)


async def rounds_right(executor: Executor) -> bool:
    """Whether the first layer's matrix gives the same either way, but for the rounding, of the
    embeddings of tokens: of one, and of a few together."""
    for rows in (1, executor.bucket(min(FEW, executor.chunk))):
        graph = executor.graph(rows)
        graph.embed("token_embd")
        embeddings = [*graph.dispatches]
        graph.gated_linear(MATRIX, graph.buffers.gated)
        if not all(linear.shapes_rounding for linear in graph.linears):
            return False
        executor.write_rows([Row(1 + row % 2, row) for row in range(rows)])
        plain = await results(executor, graph.dispatches, rows)
        rounding = [each for linear in graph.linears for each in rounded(executor, linear, rows)]
        others = await results(executor, embeddings + rounding, rows)
        if deviation(plain, others) >= MOST_DEVIATION["dot4"]:
            return False
    return True


def rounded(executor: Executor, linear: Linear, rows: int) -> list[Dispatch]:
    """What multiplies rows in 8 bits."""
    if rows == 1:
        return [linear.gemv(linear.shapes_rounding[0])]
    target = executor.buffers.partial
    return [linear.round_rows(rows, target), linear.gemv_rows_dot4(rows, target)]


async def results(executor: Executor, dispatches: Sequence[Dispatch], rows: int) -> array[float]:
    """The rows of the MLP's inner activations that dispatches make."""
    device, gated = executor.device, executor.buffers.gated
    plan = await device.record("rounding", dispatches)
    device.clear(gated)
    device.replay(plan)
    nbytes = 4 * rows * padded(executor.model.config.intermediate_size)
    found = array("f", await device.read(gated, 0, nbytes))
    device.drop(plan)
    return found
