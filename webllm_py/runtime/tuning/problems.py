"""The tuning problems of a decode step: kernels with several shapes for the same result."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, inf, prod
from typing import TYPE_CHECKING

from webllm_py.gpu.device import Dispatch
from webllm_py.models.attention import Attention
from webllm_py.models.gemv_layer import GemvLayer
from webllm_py.models.graph import Graph
from webllm_py.models.kv_cache import page_bytes
from webllm_py.models.step import PAGE, Row
from webllm_py.models.workgroup_shapes import GemvShape

if TYPE_CHECKING:
    from webllm_py.runtime.executor import Executor

__all__ = ["Problem", "clear_pages", "problems_of", "write_step"]

LONG = 2048


@dataclass(frozen=True)
class Problem:
    """The same work in every layer.

    Attributes:
        name: what its speed depends on, besides the adapter.
        layers: how many there are.
        nbytes: what the work of one layer reads.
        least: the part of a layer that can be run, one workgroup's.
        shapes: those to try, the default first.
        dispatches: the work of so many layers in one of the shapes, a part of one by fewer
            workgroups; and how many layers it came to.
    """

    name: str
    layers: int
    nbytes: int
    least: float
    shapes: Sequence[tuple[int, ...]]
    dispatches: Callable[[tuple[int, ...], float], tuple[list[Dispatch], float]]


def problems_of(executor: Executor, *, rounding: bool = False) -> list[Problem]:
    """All of a model's, those that take the most time first; attention, slow to compile, last.

    Args:
        rounding: whether shapes may round activations to 8 bits.
    """
    long = passed(executor, fused=False)
    found = by_problem([*long.linears, *long.expert_linears])
    if executor.fused_keys:
        found = by_problem(passed(executor, fused=True).linears) | found
    problems = [
        gemv_problem(executor, name, layers, rounding=rounding) for name, layers in found.items()
    ]
    problems.sort(key=lambda problem: -problem.layers * problem.nbytes)
    return [*problems, attention_problem(executor, long.attentions)]


def passed(executor: Executor, *, fused: bool) -> Graph:
    """The graph of a decode step."""
    graph = executor.graph(1, fused=fused)
    executor.model.forward(graph)
    executor.model.head(graph)
    return graph


def by_problem(layers: Sequence[GemvLayer]) -> dict[str, list[GemvLayer]]:
    """The layers of each problem, by its name. Of a matrix in slices, the first that has it."""
    groups: dict[str, list[GemvLayer]] = {}
    for layer in layers:
        group = groups.setdefault(layer.problem, [])
        if not group or group[0].part.row0 == layer.part.row0:
            group.append(layer)
    return groups


def gemv_problem(
    executor: Executor, name: str, layers: Sequence[GemvLayer], *, rounding: bool
) -> Problem:
    """The same matrix of every layer, or slice of it."""
    first = layers[0]
    most = executor.device.limits.max_compute_invocations_per_workgroup
    near = first.shapes_near(most)
    return Problem(
        name,
        len(layers),
        first.nbytes,
        1 / parts_of(first.gemv(first.default)),
        [first.default, *(first.shapes_rounding if rounding else ()), *near],
        partial(gemv_dispatches, layers),
    )


def gemv_dispatches(
    linears: Sequence[GemvLayer], shape: tuple[int, ...], layers: float
) -> tuple[list[Dispatch], float]:
    """See ``Problem.dispatches``."""
    first = linears[0].gemv(GemvShape(*shape))
    if layers < 1:
        part = part_of(first, layers)
        return [part], prod(part.groups) / prod(first.groups)
    some = linears[: int(layers)]
    dispatches = [Dispatch(first.kernel, each.buffers, first.groups, first.label) for each in some]
    return dispatches, len(some)


def attention_problem(executor: Executor, attentions: Sequence[Attention]) -> Problem:
    """Split attention of a row, and the splits put together, in the layers that see the most."""
    most = max(attentions, key=lambda attention: attention.window or inf).problem
    attentions = [attention for attention in attentions if attention.problem == most]
    first, tuning = attentions[0], executor.tuning
    default = tuning.attention(1)
    pages = -(-tuned_positions(executor) // PAGE)
    return Problem(
        first.problem,
        len(attentions),
        pages * page_bytes(executor.model.config, executor.kv_format),
        1.0,
        [default, *default.near(tuning.partials)],
        partial(attention_dispatches, attentions),
    )


def attention_dispatches(
    attentions: Sequence[Attention], shape: tuple[int, ...], layers: float
) -> tuple[list[Dispatch], float]:
    """See ``Problem.dispatches``; no less than a layer."""
    found = []
    some = attentions[: max(1, int(layers))]
    for attention in some:
        chosen = {attention.problem: shape}
        tuning = replace(attention.tuning, chosen=chosen)
        found += replace(attention, tuning=tuning).dispatches(1)
    return found, len(some)


def tuned_positions(executor: Executor) -> int:
    """How long a context attention is tuned for: where it takes a good part of a step."""
    return min(executor.context_length, LONG)


def write_step(executor: Executor) -> None:
    """Make the step that the problems' kernels read: the last row of that context.

    Its pages are those that the cache has, over and over; ``clear_pages`` is for afterwards. It
    goes to as many experts as rows do, far from each other.
    """
    positions, capacity = tuned_positions(executor), executor.cache.pages.capacity
    executor.write_rows([Row(0, positions - 1)])
    executor.cache.write_pages([(page, page % capacity) for page in range(-(-positions // PAGE))])
    config = executor.model.config
    if top := config.experts_a_row:
        route = [(i * config.all_experts // top, 1.0) for i in range(top)]
        data = b"".join(struct.pack("<If", *pair) for pair in route)
        executor.device.write(executor.buffers.route, 0, data)


def clear_pages(executor: Executor) -> None:
    """Take out what the problems' kernels left in the cache, which may be no number."""
    for pages in executor.buffers.kv:
        executor.device.clear(pages)


def parts_of(dispatch: Dispatch) -> int:
    """Into how many parts a dispatch can be cut: along y, or along x where y is 1."""
    x, y, _ = dispatch.groups
    return y if y > 1 else x


def part_of(dispatch: Dispatch, share: float) -> Dispatch:
    """The first of a dispatch's workgroups."""
    x, y, z = dispatch.groups
    some = max(1, ceil(share * parts_of(dispatch)))
    return replace(dispatch, groups=(x, some, z) if y > 1 else (some, y, z))
