"""Weights of a GGUF file as constants of an ONNX graph, in files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from webllm_py.checkpoint.checkpoint import Checkpoint, TensorInfo

from .onnx_decoder import BLOCK, Matrix
from .onnx_format import DataType, Graph, Place, Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DataFiles", "GGUFWeights"]

FILE_BYTES = 1 << 30  # a browser holds each file in one ArrayBuffer
ALIGNMENT = 4096


class DataFiles:
    """The files of a model's weights: MODEL.onnx_data, MODEL.onnx_data_1 and so on."""

    def __init__(self, model: Path):
        self.model = model
        self.count = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> DataFiles:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file:
            self._file.close()

    def write(self, values: NDArray[Any]) -> Place:
        """Write a tensor; where it lies."""
        if self._file is None or self._file.tell() + values.nbytes > FILE_BYTES:
            self.__exit__()
            name = f"{self.model.name}_data" + (f"_{self.count}" if self.count else "")
            self._file = self.model.with_name(name).open("wb")
            self.count += 1
        self._file.write(bytes(-self._file.tell() % ALIGNMENT))
        place = Place(Path(self._file.name).name, self._file.tell(), values.nbytes)
        self._file.write(np.ascontiguousarray(values).data)
        return place


class GGUFWeights:
    """A GGUF file's tensors, each written when the graph asks for it (``onnx_decoder.Weights``)."""

    def __init__(self, checkpoint: Checkpoint, graph: Graph, files: DataFiles, kind: DataType):
        self.checkpoint = checkpoint
        self.graph = graph
        self.files = files
        self.kind = kind
        self.floats = np.float16 if kind is DataType.FLOAT16 else np.float32

    def table(self) -> Matrix:
        return self.stored("token_embd", self.blocks("token_embd"), flat=True)

    def head(self) -> Matrix:
        if "output.weight" in self.checkpoint.tensors:
            return self.stored("output", self.blocks("output"))
        codes, scales = (self.constant(f"token_embd.{part}") for part in ("codes", "scales"))
        rows, half = codes.shape
        shape = (rows, 2 * half // BLOCK, BLOCK // 2)
        self.graph.constants.append(Tensor("output.codes", DataType.UINT8, shape, codes.data))
        return Matrix("output.codes", scales.name, rows, 2 * half)

    def matrix(self, layer: int, *parts: str) -> Matrix:
        names = [f"blk.{layer}.{part}" for part in parts]
        bias = ""
        if f"{names[0]}.bias" in self.checkpoint.tensors:
            bias = f"{names[0]}.bias"
            self.put(bias, np.concatenate([self.bias(name) for name in names]).astype(self.floats))
        return self.stored(names[0], np.concatenate([self.blocks(name) for name in names]), bias)

    def norm(self, name: str) -> str:
        weight = f"{name}.weight"
        self.put(weight, self.vector(weight).astype(self.floats))
        return weight

    def rotation(self) -> tuple[str, str]:
        sizes = self.checkpoint.metadata
        architecture = self.checkpoint.architecture
        dimensions = sizes[f"{architecture}.rope.dimension_count"]
        theta = sizes.get(f"{architecture}.rope.freq_base", 1e4)
        frequencies = theta ** (-np.arange(0, dimensions, 2) / dimensions)
        positions = np.arange(sizes[f"{architecture}.context_length"])
        angles = np.outer(positions, frequencies)
        self.put("cosines", np.cos(angles).astype(self.floats))
        self.put("sines", np.sin(angles).astype(self.floats))
        return "cosines", "sines"

    def stored(
        self, name: str, blocks: NDArray[np.uint8], bias: str = "", *, flat: bool = False
    ) -> Matrix:
        """Write a matrix.

        Args:
            blocks: (rows, blocks a row, 18): of Q4_0.
            flat: whether a row's codes have no dimension of blocks.
        """
        rows, row_blocks, _ = blocks.shape
        codes, scales = f"{name}.codes", f"{name}.scales"
        packed = codes_in_order(blocks[:, :, 2:])
        self.put(codes, packed.reshape(rows, -1) if flat else packed)
        self.put(scales, blocks[:, :, :2].copy().view("<f2")[:, :, 0].astype(self.floats))
        return Matrix(codes, scales, rows, row_blocks * BLOCK, bias)

    def put(self, name: str, values: NDArray[Any]) -> None:
        """Write a constant."""
        kind = DataType.UINT8 if values.dtype == np.uint8 else self.kind
        place = self.files.write(values)
        self.graph.constants.append(Tensor(name, kind, values.shape, place))

    def constant(self, name: str) -> Tensor:
        """One that was written."""
        return next(one for one in self.graph.constants if one.name == name)

    def blocks(self, name: str) -> NDArray[np.uint8]:
        """A matrix in Q4_0, (rows, blocks a row, 18)."""
        info = self.checkpoint.tensors[f"{name}.weight"]
        rows, columns = info.shape
        blocks = self.read(info).reshape(rows, columns // BLOCK, -1)
        return self.halves(name, blocks)

    def bias(self, name: str) -> NDArray[Any]:
        """A bias, in the order of its matrix's rows."""
        return self.halves(name, self.vector(f"{name}.bias"))

    def vector(self, name: str) -> NDArray[np.float32]:
        """A tensor in F32."""
        return self.read(self.checkpoint.tensors[name]).view("<f4")

    def halves(self, name: str, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows of queries and keys, with a head's first dimensions of all rotated pairs before all
        second ones. GGUF has a pair's two beside each other for the architecture "llama"."""
        kind = name.rpartition(".")[2]
        if self.checkpoint.architecture != "llama" or kind not in ("attn_q", "attn_k"):
            return rows
        dimensions = self.checkpoint.metadata["llama.rope.dimension_count"]
        pairs = rows.reshape(-1, dimensions // 2, 2, *rows.shape[1:])
        return pairs.swapaxes(1, 2).reshape(rows.shape)

    def read(self, info: TensorInfo) -> NDArray[np.uint8]:
        """A tensor's bytes."""
        return np.fromfile(info.source.name, np.uint8, info.nbytes, offset=info.offset)


def codes_in_order(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bytes of two codes each. Q4_0 has code i and i + 16 in a byte, MatMulNBits 2i and 2i + 1."""
    low, high = codes & 15, codes >> 4
    ordered = np.concatenate([low, high], axis=-1)
    return ordered[..., ::2] | ordered[..., 1::2] << 4
