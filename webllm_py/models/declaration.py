"""The base of models' declarations: their tensors, checked and counted."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import UnsupportedModelError
from webllm_py.models.tensors import Tensors
from webllm_py.models.weights import Matrix, Vector

__all__ = ["Declaration"]


class Declaration(ABC):
    """Which tensors make which matrices and vectors.

    Attributes:
        tensors: the checkpoint's, by GGUF's names.
    """

    tensors: Mapping[str, TensorInfo]

    @abstractmethod
    def matrices(self) -> list[Matrix]:
        """Every matrix, in the order of the pass."""

    @abstractmethod
    def vectors(self) -> list[Vector]:
        """Every vector."""

    def check_all_used(self, architecture: str, besides: Collection[str] = ()) -> None:
        """Refuse tensors that are part of nothing.

        Args:
            besides: names of those that are neither matrices nor vectors.

        Raises:
            UnsupportedModelError: there are some; says which.
        """
        parts = [part for matrix in self.matrices() for part in matrix.parts]
        for vector in self.vectors():
            parts += [*vector.norm, *vector.biases]
        expected = {part.tensor.name for part in parts}
        unknown = sorted(
            name
            for name, tensor in self.tensors.items()
            if tensor.name not in expected and name not in besides
        )
        if unknown:
            raise UnsupportedModelError(
                f"the checkpoint has {len(unknown)} tensors that {architecture} models do not use "
                f"({', '.join(unknown[:3])}{', ...' if len(unknown) > 3 else ''}): it is of "
                "another architecture than it says, or a newer variant"
            )

    @property
    def checked(self) -> Tensors:
        """The tensors, checked when they are asked for."""
        return Tensors(self.tensors)

    @property
    def all_tensors(self) -> list[TensorInfo]:
        """Its tensors, and those of what belongs to it."""
        return list(self.tensors.values())

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors, as the file stores them."""
        return sum(tensor.stored_bytes for tensor in self.all_tensors)

    @property
    def n_parameters(self) -> int:
        """Numbers in its tensors."""
        return sum(math.prod(tensor.shape) for tensor in self.all_tensors)

    @property
    def formats(self) -> dict[str, int]:
        """Bytes of its tensors by the format that stores them, the most first."""
        sizes: dict[str, int] = {}
        for tensor in self.all_tensors:
            sizes[tensor.format.name] = sizes.get(tensor.format.name, 0) + tensor.stored_bytes
        return dict(sorted(sizes.items(), key=lambda item: -item[1]))
