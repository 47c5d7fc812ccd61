"""Matrices that a file holds the other way round, as if it did not."""

from __future__ import annotations

from array import array
from dataclasses import replace

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.fetch.source import check_range

__all__ = ["transposed"]

ELEMENTS = {"F32": "I", "F16": "H", "BF16": "H"}


def transposed(tensor: TensorInfo) -> TensorInfo:
    """The transpose of a float matrix, or of each of several in one tensor.

    Raises:
        CorruptCheckpointError: it is no matrix.
        UnsupportedModelError: its elements are quantized.
    """
    if len(tensor.shape) not in (2, 3):
        raise CorruptCheckpointError(f"the tensor {tensor.name} has shape {tensor.shape}")
    if tensor.format.name not in ELEMENTS:
        raise UnsupportedModelError(
            f"the tensor {tensor.name} is stored as {tensor.format.name}, the other way round"
        )
    *several, rows, columns = tensor.shape
    shape = (*several, columns, rows)
    return replace(tensor, shape=shape, source=TransposedTensor(tensor), offset=0)


class TransposedTensor:
    """The bytes of a matrix's transpose, as a ``ByteSource``.

    A whole matrix comes into memory when bytes of it are asked for, and leaves with the next one.
    """

    def __init__(self, tensor: TensorInfo):
        self.name = f"{tensor.source.name}: {tensor.name}"
        self.tensor = tensor
        rows, self.columns = tensor.shape[-2:]
        self.matrix_bytes = tensor.format.nbytes(rows * self.columns)
        self._index, self._data = -1, b""

    async def size(self) -> int:
        """Length in bytes."""
        return self.tensor.nbytes

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        check_range(self.name, self.tensor.nbytes, offset, length)
        found, end = b"", offset + length
        while offset < end:
            index, start = divmod(offset, self.matrix_bytes)
            part = (await self.matrix(index))[start : start + end - offset]
            found += part
            offset += len(part)
        if end == self.tensor.nbytes:
            self._index, self._data = -1, b""
        return found

    async def matrix(self, index: int) -> bytes:
        """One of the matrices, turned."""
        if index != self._index:
            tensor = self.tensor
            stored = array(ELEMENTS[tensor.format.name])
            at = tensor.offset + index * self.matrix_bytes
            stored.frombytes(await tensor.source.read(at, self.matrix_bytes))
            turned = array(stored.typecode)
            for column in range(self.columns):
                turned.extend(stored[column :: self.columns])
            self._index, self._data = index, turned.tobytes()
        return self._data

    async def read_chunk(self, offset: int, length: int) -> bytes:
        """As ``read``."""
        return await self.read(offset, length)

    async def read_all(self, limit: int) -> bytes:
        """All of it."""
        return await self.read(0, min(limit, self.tensor.nbytes))

    async def pause(self) -> None:
        """See ``ByteSource``."""
        await self.tensor.source.pause()

    async def close(self) -> None:
        """Forget what was read; the file is closed by who opened it."""
        self._index, self._data = -1, b""
