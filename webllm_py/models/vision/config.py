"""A vision tower's hyper-parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.encoder_layers import MOST_HEAD_DIM

__all__ = ["VisionActivation", "VisionConfig"]

VisionActivation: TypeAlias = Literal["gelu", "gelu_tanh", "quick_gelu", "silu"]
"""A file of kernels/activation."""


@dataclass(frozen=True)
class VisionConfig:
    """Hyper-parameters of a vision transformer (arXiv 2010.11929) and of what joins it to a text
    model.

    Attributes:
        tile: pixels along a side of what it sees at once.
        patch: pixels along a side of a patch, which is a row.
        n_layers: those that are computed.
        class_token: whether a row that is no patch comes first.
        pre_norm, post_norm: whether there are norms before the layers, and after them.
        merge: patches along a side of a square that become one row of the text model.
        average: whether they are averaged for that, instead of put side by side.
        text_hidden: elements of such a row.
        mean, deviation: of red, green and blue from 0 to 1, which pixels are normalised by.
    """

    architecture: str
    tile: int
    patch: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    norm_eps: float
    activation: VisionActivation
    merge: int
    text_hidden: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    class_token: bool = False
    pre_norm: bool = False
    post_norm: bool = True
    average: bool = False

    def __post_init__(self) -> None:
        for name in COUNTS:
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
                raise CorruptCheckpointError(
                    f"the vision tower's {name} is {value!r}; that must be a positive whole number"
                )
        if self.hidden_size % self.n_heads:
            raise CorruptCheckpointError(
                f"{self.n_heads} heads of the vision tower cannot share {self.hidden_size} "
                "elements evenly"
            )
        if self.head_dim % 8 or self.head_dim > MOST_HEAD_DIM:
            raise UnsupportedModelError(
                f"heads of {self.head_dim} elements are not supported in a vision tower: it must "
                f"be a multiple of 8, at most {MOST_HEAD_DIM}"
            )
        if not self.grid or self.grid % self.merge:
            raise CorruptCheckpointError(
                f"{self.grid} patches along a side cannot be joined {self.merge} by {self.merge}"
            )
        if not isinstance(self.norm_eps, int | float) or not 0 < self.norm_eps < 1:
            raise CorruptCheckpointError(f"the vision tower's norm_eps is {self.norm_eps!r}")
        if not all(0 < value <= 1 for value in self.deviation):
            raise CorruptCheckpointError(f"images are divided by {self.deviation}")

    @property
    def head_dim(self) -> int:
        """Elements of a head."""
        return self.hidden_size // self.n_heads

    @property
    def grid(self) -> int:
        """Patches along a side of a tile; pixels that are left over are not seen."""
        return self.tile // self.patch

    @property
    def patches(self) -> int:
        """Patches of a tile."""
        return self.grid**2

    @property
    def first_patch(self) -> int:
        """The row of a tile's first patch."""
        return int(self.class_token)

    @property
    def length(self) -> int:
        """Rows of a tile."""
        return self.first_patch + self.patches

    @property
    def joined(self) -> int:
        """Elements that a square has before it is projected."""
        return self.hidden_size if self.average else self.merge**2 * self.hidden_size

    @property
    def merged(self) -> int:
        """Rows of a tile in the text model."""
        return self.patches // self.merge**2


COUNTS = (
    "tile",
    "patch",
    "hidden_size",
    "intermediate_size",
    "n_layers",
    "n_heads",
    "merge",
    "text_hidden",
)
