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
    """The transpose of a float matrix.

    Raises:
        CorruptCheckpointError: it is no matrix.
        UnsupportedModelError: its elements are quantized.
    """
    if len(tensor.shape) != 2:
        raise CorruptCheckpointError(f"the tensor {tensor.name} has shape {tensor.shape}")
    if tensor.format.name not in ELEMENTS:
        raise UnsupportedModelError(
            f"the tensor {tensor.name} is stored as {tensor.format.name}, the other way round"
        )
    return replace(tensor, shape=tensor.shape[::-1], source=TransposedTensor(tensor), offset=0)


class TransposedTensor:
    """The bytes of a matrix's transpose, as a ``ByteSource``.

    All of it comes into memory when the first bytes are asked for, and leaves with the last.
    """

    def __init__(self, tensor: TensorInfo):
        self.name = f"{tensor.source.name}: {tensor.name}"
        self.tensor = tensor
        self._data = b""

    async def size(self) -> int:
        """Length in bytes."""
        return self.tensor.nbytes

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``."""
        size = self.tensor.nbytes
        check_range(self.name, size, offset, length)
        if not self._data:
            tensor = self.tensor
            stored = array(ELEMENTS[tensor.format.name])
            stored.frombytes(await tensor.source.read(tensor.offset, size))
            columns = tensor.shape[1]
            turned = array(stored.typecode)
            for column in range(columns):
                turned.extend(stored[column::columns])
            self._data = turned.tobytes()
        data = self._data[offset : offset + length]
        if offset + length == size:
            self._data = b""
        return data

    async def read_chunk(self, offset: int, length: int) -> bytes:
        """As ``read``."""
        return await self.read(offset, length)

    async def read_all(self, limit: int) -> bytes:
        """All of it."""
        return await self.read(0, min(limit, self.tensor.nbytes))

    async def pause(self) -> None:
        """As the file's own."""
        await self.tensor.source.pause()

    async def close(self) -> None:
        """Forget what was read; the file is closed by who opened it."""
        self._data = b""
