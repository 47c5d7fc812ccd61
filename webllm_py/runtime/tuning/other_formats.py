"""Chunks of a prompt in 8 bits, by weights of other formats than the matrix that ``gemm_trial``
tries: each is checked by a matrix of its own. Most published files mix formats.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.models.graph import Graph
from webllm_py.models.linear import Gemm, Linear
from webllm_py.models.weights import Matrix, Slice
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning.comparison import results_of, sampled_rows
from webllm_py.runtime.tuning.sample import Sample

__all__ = ["FormatCheck", "other_formats"]


@dataclass(frozen=True)
class FormatCheck:
    """A slice of a matrix, to be multiplied with the first tokens of the vocabulary, or with what
    the sample makes of them.

    Attributes:
        matrix, part: the slice.
    """

    executor: Executor
    matrix: Matrix
    part: Slice
    sample: Sample

    @property
    def rows(self) -> int:
        """Of a chunk: the fewest that are not multiplied as single ones are."""
        return self.executor.bucket(self.executor.tuning.few_rows + 1)

    @property
    def buffers(self) -> tuple[Buffer, Buffer]:
        """What the matrix is multiplied with, and where its results go."""
        buffers = self.executor.buffers
        if self.matrix.columns == self.executor.model.config.hidden_size:
            return buffers.hidden, buffers.gated
        return self.sample.buffer(buffers), buffers.hidden

    @property
    def possible(self) -> bool:
        """Whether there are rows that are long enough, and room for the results."""
        source, target = self.buffers
        if source is not self.executor.buffers.hidden and self.matrix.columns > self.sample.width:
            return False
        return 4 * self.rows * self.matrix.rows <= target.size

    def dispatches(self, gemm: Gemm) -> Sequence[Dispatch]:
        """The rows, and the matrix times these, one way or another."""
        executor, (source, target) = self.executor, self.buffers
        plain = executor.graph(self.rows, gemm="plain")
        plain.embed("token_embd")
        made = plain.dispatches
        if source is not executor.buffers.hidden:
            made = self.sample.dispatches(plain)
        graph = executor.graph(self.rows, gemm=gemm)
        x, y, stride = {"x": source}, {"y": target}, self.matrix.rows
        graph.linear(self.matrix.name, x, "store", y, Y_STRIDE=stride)
        return [*made, *graph.dispatches]

    async def results(self, gemm: Gemm) -> array[float]:
        """What some of the rows give, times the slice.

        Raises:
            ShaderError: a kernel does not compile.
        """
        _, target = self.buffers
        slice_at, nbytes = 4 * self.part.row0, 4 * self.part.rows
        places = sampled_rows(self.rows, 4 * self.matrix.rows, slice_at, nbytes)
        device, dispatches = self.executor.device, self.dispatches(gemm)
        return await results_of(device, "trial of a format", dispatches, target, places)


def other_formats(
    graph: Graph, executor: Executor, sample: Sample
) -> dict[str, FormatCheck | None]:
    """A check of each format of a prompt's matrices in 8 bits besides the sample's, as far as there
    is one.

    Args:
        graph: of the prompt.
    """
    known = {part.format for part in sample.slices_seen(executor.weights)}
    checks: dict[str, FormatCheck | None] = {}
    for linear in graph.linears:
        format = linear.part.format
        if checks.get(format) or format in known or not in_dot4(linear):
            continue
        check = FormatCheck(executor, linear.matrix, linear.part, sample)
        checks[format] = check if check.possible else None
    return checks


def in_dot4(linear: Linear) -> bool:
    """Whether a layer multiplies a chunk in 8 bits."""
    return linear.snippets["quant"].startswith("dot4/")
