"""The matrices and vectors that a model asks the loader for, put together from named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.gpu.device import Buffer

__all__ = ["Matrix", "Part", "Slice", "Vector", "Weights"]

BLOCK = 32


@dataclass(frozen=True)
class Part:
    """Rows of a tensor within a matrix: of them, row r goes to ``base + stride * r``. A vector's
    elements are rows too.

    With ``rotary_dim``, the rows of each head are reordered first so that rotary pairs that lie
    half of ``rotary_dim`` apart come to lie side by side.

    Attributes:
        first, count: where they begin, and how many they are; None for all that follow.
        run, apart: how many lie together, if not all, and how far from the first of such a run it
            is to the next's.
        plus: added to each element of a vector.
    """

    tensor: TensorInfo
    base: int = 0
    stride: int = 1
    head_dim: int = 1
    rotary_dim: int = 2
    first: int = 0
    count: int | None = None
    plus: float = 0.0
    run: int = 0
    apart: int = 0

    @property
    def rows(self) -> int:
        """How many rows of the tensor they are."""
        return self.tensor.shape[0] - self.first if self.count is None else self.count

    def source(self, row: int) -> int:
        """The tensor's row that is a row of the part."""
        return self.first + (row // self.run * self.apart + row % self.run if self.run else row)


@dataclass(frozen=True)
class Matrix:
    """A (rows, columns) weight as the kernels see it, made of one or several tensors.

    Attributes:
        together: how many rows belong together, and are not cut apart.
    """

    name: str
    rows: int
    columns: int
    parts: tuple[Part, ...]
    together: int = 1

    @property
    def blocks(self) -> int:
        """Length of a padded row in blocks of 32."""
        return -(-self.columns // BLOCK)

    @property
    def units(self) -> int:
        """Length of a padded row in units of 8, as the kernels lay weights out."""
        return self.blocks * 4


@dataclass(frozen=True)
class Vector:
    """float32 elements beside a matrix: a norm of its input, then biases of its rows.

    ``norm`` is the norm's weight, and for a LayerNorm that has one its bias: each takes ``columns``
    elements, padded with zeros to whole blocks. A bias part goes where its matrix part's rows go;
    rows without one have bias 0.
    """

    name: str
    columns: int = 0
    norm: tuple[Part, ...] = ()
    rows: int = 0
    biases: tuple[Part, ...] = ()

    @property
    def bias_at(self) -> int:
        """Elements before the biases."""
        return self.columns_padded * len(self.norm)

    @property
    def columns_padded(self) -> int:
        """Elements of each of the norm's parts."""
        return -(-self.columns // BLOCK) * BLOCK

    @property
    def length(self) -> int:
        """Elements in all."""
        return self.bias_at + (self.rows if self.biases else 0)


@dataclass(frozen=True)
class Slice:
    """Rows ``row0 .. row0 + rows - 1`` of a matrix on the GPU, in one format of kernels/quant.

    ``buffers`` has an entry for each binding that the format's reader declares.
    """

    format: str
    row0: int
    rows: int
    buffers: Mapping[str, Buffer]


@dataclass(frozen=True)
class Weights:
    """A loaded model: the slices of each matrix and the buffer of each vector, by name.

    A matrix may have a vector of the same name.
    """

    matrices: Mapping[str, tuple[Matrix, tuple[Slice, ...]]]
    vectors: Mapping[str, tuple[Vector, Buffer]]
