"""Steps whose activations are rounded to 8 bits: where they may be, and whether they are right.

Dot products of 4 bytes leave a step of a large model waiting for its weights alone. What they round
is some 1 in 200 of a result, so they are taken only where they clearly pay, and where a matrix's
result is the exact kernel's but for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import Kernel
from webllm_py.models.graph import Graph
from webllm_py.models.step import Row
from webllm_py.models.tuning import Tuning
from webllm_py.models.workgroup_shapes import format_of, rounds
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning.choices import Choices
from webllm_py.runtime.tuning.comparison import MOST_DEVIATION, deviation, results_of, run_once
from webllm_py.runtime.tuning.gemm_trial import offers_dot4
from webllm_py.runtime.tuning.problems import Problem
from webllm_py.runtime.tuning.sample import Sample, sample_of

__all__ = ["ROUNDING", "RoundingCheck", "offers_rounding", "rounding_kernels", "rounds_right"]

# What the times of a shape that rounds are multiplied with before they are compared.
ROUNDING = 1.1
FEW = 8  # rows that are checked together
COMPARED_BYTES = 64 << 10  # of a result


def offers_rounding(executor: Executor) -> bool:
    """Whether the device has the dot products, and nobody asked for float32."""
    return executor.kv_format != "f32" and offers_dot4(executor.device)


def rounding_kernels(
    executor: Executor, problems: Sequence[Problem], chosen: Choices
) -> list[Kernel]:
    """What rounds each format's largest matrix, and what checks it first: a load may have time to
    compile no others.

    Args:
        problems: those that take the most time first.
        chosen: shapes that are known already.
    """
    found: dict[str, list[Kernel]] = {}
    for problem in problems:
        rounding = [shape for shape in problem.shapes if rounds(problem.name, shape)]
        if rounding and format_of(problem.name) not in found:
            tried = [] if problem.name in chosen else rounding
            kernels = [d.kernel for shape in tried for d in problem.dispatches(shape, 0)[0]]
            found[format_of(problem.name)] = kernels
    likely = [kernel for kernels in found.values() for kernel in kernels]
    if not likely:
        return []
    sample = sample_of(executor.model)
    checks = [compared(executor, sample, rows) for rows in numbers_of_rows(executor)]
    return likely + [d.kernel for ways in checks for dispatches in ways for d in dispatches]


class RoundingCheck:
    """With which formats rounding is right, found when a problem first asks: those of the model's
    sample by ``rounds_right``, others by the problem's own matrix. Experts, which have a kernel of
    their own, are all compared themselves."""

    def __init__(self, executor: Executor):
        self.executor = executor
        self.sample = sample_of(executor.model)
        self.right: dict[str, bool] = {}

    async def allows(self, problem: Problem, shape: tuple[int, ...]) -> bool:
        """Whether a problem's shapes that round, of which one is given, are right."""
        executor, sample, format = self.executor, self.sample, format_of(problem.name)
        plain, rounding = (problem.dispatches(s, 1)[0][0] for s in (problem.shapes[0], shape))
        if plain.kernel.name == "expert_gemv":
            return await experts_alike(executor, plain, rounding)
        if not self.right:
            slices = sample.slices_seen(executor.weights)
            right = await rounds_right(executor, sample)
            self.right = dict.fromkeys([part.format for part in slices], right)
        if format not in self.right and any(self.right.values()):
            found = await alike(executor, sample, plain, rounding)
            if found is not None:
                self.right[format] = found
        return self.right.get(format, False)


async def experts_alike(executor: Executor, plain: Dispatch, rounding: Dispatch) -> bool:
    """Whether two ways to multiply a row with the experts that it goes to give the same, but for
    the rounding, of a token's embedding or of what the first mixture's gates make of it."""
    executor.write_rows([Row(1, 0)])
    graph = executor.graph(1)
    graph.tuning = executor.tuning.exact
    graph.embed("token_embd")
    first = next(layer.experts for layer in executor.model.layers if layer.experts)
    first.route(graph, None)
    first.gated(graph, None)
    await run_once(executor.device, "rounding", graph.dispatches)
    return await agree(executor, plain, rounding)


async def alike(
    executor: Executor, sample: Sample, plain: Dispatch, rounding: Dispatch
) -> bool | None:
    """Whether two ways to multiply one row give the same, but for the rounding, of a token's
    embedding or of what the sample makes of it; None where they take another row or give more than
    rows."""
    buffers = executor.buffers
    x, y, target = plain.buffers.get("x"), plain.buffers.get("y"), sample.buffer(buffers)
    if y is None or not (x is buffers.hidden or x is target):
        return None
    executor.write_rows([Row(1, 0)])
    graph = executor.graph(1)
    graph.embed("token_embd")
    made = sample.dispatches(graph) if x is target else graph.dispatches
    await run_once(executor.device, "rounding", made)
    return await agree(executor, plain, rounding)


async def agree(executor: Executor, plain: Dispatch, rounding: Dispatch) -> bool:
    """Whether two dispatches leave the same, but for the rounding."""
    y = plain.buffers["y"]
    return await ways_agree(executor, [plain], [rounding], y, min(y.size, COMPARED_BYTES))


async def rounds_right(executor: Executor, sample: Sample) -> bool:
    """Whether the sample gives the same either way, but for the rounding, of the embeddings of
    tokens: of one, and of a few together."""
    target = sample.buffer(executor.buffers)
    for rows in numbers_of_rows(executor):
        plain, rounding = compared(executor, sample, rows)
        if not rounding:
            return False
        executor.write_rows([Row(1 + row % 2, row) for row in range(rows)])
        nbytes = 4 * rows * sample.width
        if not await ways_agree(executor, plain, rounding, target, nbytes):
            return False
    return True


def numbers_of_rows(executor: Executor) -> tuple[int, int]:
    """How many rows are checked together: first one, then a few."""
    return 1, executor.bucket(min(FEW, executor.chunk))


def compared(
    executor: Executor, sample: Sample, rows: int
) -> tuple[list[Dispatch], list[Dispatch]]:
    """What makes the sample's products with embeddings of tokens, as they are and rounded; nothing
    rounded where a matrix cannot be."""
    exact = executor.tuning.exact
    graph, plain = recorded(executor, sample, rows, exact)
    linears = [linear for linear in graph.linears if linear.part.row0 < sample.seen]
    if not all(linear.shapes_rounding for linear in linears):
        return plain, []
    shapes = {linear.problem: linear.shapes_rounding[0] for linear in linears}
    _, rounding = recorded(executor, sample, rows, replace(exact, chosen=shapes))
    return plain, rounding


def recorded(
    executor: Executor, sample: Sample, rows: int, tuning: Tuning
) -> tuple[Graph, list[Dispatch]]:
    """The sample's products with embeddings of tokens, and the graph that they are in."""
    graph = executor.graph(rows)
    graph.tuning = tuning
    graph.embed("token_embd")
    return graph, sample.dispatches(graph)


async def ways_agree(
    executor: Executor,
    plain: Sequence[Dispatch],
    rounding: Sequence[Dispatch],
    target: Buffer,
    nbytes: int,
) -> bool:
    """Whether both leave the same in the first bytes of a buffer, but for the rounding."""
    device, places = executor.device, [(0, nbytes)]
    found = [
        await results_of(device, "rounding", dispatches, target, places)
        for dispatches in (plain, rounding)
    ]
    return deviation(*found) < MOST_DEVIATION["dot4"]
