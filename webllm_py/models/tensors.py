"""A checkpoint's tensors by GGUF's names, checked when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import CorruptCheckpointError
from webllm_py.models.config import ModelConfig
from webllm_py.models.weights import Part

__all__ = ["Tensors", "bias_parts", "norm_parts"]


class Tensors(Mapping[str, TensorInfo]):
    """Tensors by name."""

    def __init__(self, tensors: Mapping[str, TensorInfo]):
        self._tensors = tensors

    def __getitem__(self, name: str) -> TensorInfo:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def shaped(self, name: str, *shape: int) -> TensorInfo:
        """A tensor of the shape that the config asks for.

        Raises:
            CorruptCheckpointError: there is none, or it has another shape.
        """
        tensor = self._tensors.get(name)
        if tensor is None:
            raise CorruptCheckpointError(f"the checkpoint lacks the tensor {name}")
        tensor = tensor.fitted(shape)
        if tensor.shape != shape:
            raise CorruptCheckpointError(
                f"the tensor {name} has shape {tensor.shape}; the checkpoint's own numbers ask for "
                f"{shape}"
            )
        return tensor

    def flattened(self, name: str, *shape: int) -> TensorInfo:
        """A tensor of as many elements as this shape has, as a vector: files differ in which
        dimensions of 1 they write.

        Raises:
            CorruptCheckpointError: there is none, or it has more or fewer.
        """
        tensor = self._tensors.get(name)
        if tensor is None or math.prod(tensor.shape) != math.prod(shape):
            tensor = self.shaped(name, *shape)
        return replace(tensor, shape=(math.prod(shape),))


def norm_parts(config: ModelConfig, tensors: Tensors, name: str) -> tuple[Part, ...]:
    """The weight of a norm of hidden rows, and a LayerNorm's bias if it has one."""
    weight = tensors.shaped(f"{name}.weight", config.hidden_size)
    parts = (Part(weight, plus=config.norm_plus),)
    if config.norm == "rms" or f"{name}.bias" not in tensors:
        return parts
    return (*parts, Part(tensors.shaped(f"{name}.bias", config.hidden_size)))


def bias_parts(tensors: Tensors, name: str, rows: int) -> tuple[Part, ...]:
    """A tensor's bias, if it has one."""
    if f"{name}.bias" not in tensors:
        return ()
    return (Part(tensors.shaped(f"{name}.bias", rows)),)
