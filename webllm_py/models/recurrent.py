"""What layers that keep a state instead of keys and values have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from webllm_py.gpu.device import Buffer, Dispatch
from webllm_py.gpu.kernels import Kernel
from webllm_py.models.config import ModelConfig
from webllm_py.models.graph import Graph
from webllm_py.models.step import ROWS_AT
from webllm_py.models.tensors import Tensors
from webllm_py.models.weights import Matrix, Vector

__all__ = ["RecurrentLayer"]


@dataclass(frozen=True)
class RecurrentLayer(ABC):
    """Which tensors make its matrices and vectors, and the pass over them.

    Attributes:
        name: what the layer's tensors' names begin with.
        index: the layer.
    """

    config: ModelConfig
    tensors: Tensors
    name: str
    index: int

    @abstractmethod
    def forward(self, g: Graph) -> None:
        """hidden += what it makes of the normed hidden rows."""

    @property
    @abstractmethod
    def projection(self) -> str:
        """The name of the first matrix."""

    @abstractmethod
    def matrices(self) -> list[Matrix]:
        """Its matrices, in the order of the pass."""

    @abstractmethod
    def vectors(self) -> list[Vector]:
        """The norm before it, and vectors of its own."""

    def project(self, g: Graph) -> None:
        """mixed = the normed hidden rows times the first matrix."""
        assert self.config.recurrence
        x, y = {"x": g.buffers.hidden}, {"y": g.buffers.mixed}
        g.linear(self.projection, x, "store", y, Y_STRIDE=self.config.recurrence.rows)

    def state_constants(self, g: Graph) -> dict[str, int]:
        """What kernels/states/rows.wgsl needs to find a row's state."""
        elements = self.config.state_bytes(self.index) // 4
        return {"STATE": elements, "STEP_ROWS": ROWS_AT, "STEP_STATES": g.layout.states_at}

    def states(self, g: Graph) -> Buffer:
        """Its states of all sequences."""
        return g.buffers.kv[self.index]

    def dispatch(
        self, g: Graph, made: Kernel, bound: Mapping[str, Buffer], groups: tuple[int, int, int]
    ) -> None:
        """A dispatch over the step and these buffers."""
        g.dispatches.append(Dispatch(made, {"step": g.buffers.step, **bound}, groups, self.name))
