"""What linear layers and experts have in common: their GEMV has a shape, which may be tuned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.models.tuning import Tuning
from webllm_py.models.weights import Matrix, Slice
from webllm_py.models.workgroup_shapes import GemvShape

__all__ = ["GemvLayer"]

LARGE = 8 << 20  # weights whose arithmetic takes longer than what else a dispatch costs


@dataclass(frozen=True)
class GemvLayer(ABC):
    """A slice of a matrix, to be multiplied with rows.

    Attributes:
        buffers: every binding's.
        snippets, constants: the kernels'.
    """

    matrix: Matrix
    part: Slice
    buffers: Mapping[str, Buffer]
    snippets: Mapping[str, str]
    constants: Mapping[str, float]
    tuning: Tuning

    @abstractmethod
    def gemv(self, shape: GemvShape | None = None) -> Dispatch:
        """For one row, in the tuning's shape or another."""

    @property
    @abstractmethod
    def problem(self) -> str:
        """What the speed of a GEMV depends on, besides the adapter."""

    @property
    @abstractmethod
    def height(self) -> int:
        """Rows of the weight that one row is multiplied with."""

    @property
    @abstractmethod
    def shapes_rounding(self) -> list[GemvShape]:
        """Shapes for one row in 8 bits, likely ones first, where there is a reader for that."""

    @property
    def shape(self) -> GemvShape:
        """The tuning's for one row. Where a matrix was found to be faster in 8 bits, so are those
        of its format that are large and were not tried."""
        tuning, name = self.tuning, self.problem
        large = self.height * self.matrix.columns >= LARGE
        if large and name not in tuning.chosen and self.part.format in tuning.formats_rounding:
            return [*self.shapes_rounding, self.default][0]
        return tuning.gemv(self.height, self.matrix.units, name)

    @property
    def default(self) -> GemvShape:
        """What is not tuned."""
        return self.tuning.gemv(self.height, self.matrix.units)

    def shapes_near(self, most_threads: int) -> list[GemvShape]:
        """Shapes like the default one that may be faster, likely ones first."""
        return self.default.near(self.matrix.units, most_threads)

    @property
    def nbytes(self) -> int:
        """Bytes of the slice."""
        return sum(buffer.size for buffer in self.part.buffers.values())
