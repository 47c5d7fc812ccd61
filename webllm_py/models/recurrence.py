"""Sizes of layers that keep a state of fixed size instead of keys and values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.models.counts import check_count

__all__ = ["CONV", "DELTA_BLOCK", "DeltaConfig", "Recurrence", "ShortConvConfig"]


class Recurrence(ABC):
    """What such a layer takes in the buffers that all of them work in.

    Attributes:
        name: of the kind of layer, for people.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def rows(self) -> int:
        """Rows of the projection in."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Elements of a row that is projected back."""

    @property
    @abstractmethod
    def state_bytes(self) -> int:
        """Bytes of a layer's state of one sequence."""


CONV = 4
"""Width of the convolution of a gated delta net, in positions."""
DELTA_BLOCK = 32
"""Rows of a chunk that change a delta net's states together: kernels/delta/blocks.wgsl."""


@dataclass(frozen=True)
class DeltaConfig(Recurrence):
    """Sizes of gated delta nets (arXiv 2412.06464).

    Attributes:
        k_heads: heads of queries, and of keys.
        v_heads: heads of values, a multiple of ``k_heads``.
        k_dim, v_dim: elements of a head of keys, and of values.
        tiled: whether value head h uses key head h % k_heads (GGUF's order), rather than
            h // (v_heads / k_heads).
        log_decay: whether the stored decay A is the logarithm of -A.
    """

    name = "gated delta net"
    k_heads: int
    v_heads: int
    k_dim: int
    v_dim: int
    tiled: bool = False
    log_decay: bool = True

    def __post_init__(self) -> None:
        for name in ("k_heads", "v_heads", "k_dim", "v_dim"):
            check_count(name, getattr(self, name))
        if self.v_heads % self.k_heads:
            raise CorruptCheckpointError(
                f"{self.v_heads} value heads cannot share {self.k_heads} key heads evenly"
            )
        lanes = self.k_dim // 16
        if self.k_dim % 16 or lanes & (lanes - 1) or self.k_dim > 256 or self.v_dim % 4:
            raise UnsupportedModelError(
                f"delta nets with heads of {self.k_dim} and {self.v_dim} elements are not "
                "supported: keys' must be 16, 32, 64, 128 or 256, values' a multiple of 4"
            )

    @property
    def channels(self) -> int:
        """Elements of queries, keys and values of a position."""
        return 2 * self.k_heads * self.k_dim + self.width

    @property
    def width(self) -> int:
        """Elements of values of a position."""
        return self.v_heads * self.v_dim

    @property
    def rows(self) -> int:
        """Rows of the input projection: channels, output gates, two gates for each value head."""
        return self.channels + self.width + 2 * self.v_heads

    def block_bytes(self, rows: int) -> int:
        """Bytes of the products between a chunk's rows, block by block."""
        blocks = -(-rows // DELTA_BLOCK)
        return 4 * blocks * self.v_heads * (2 * DELTA_BLOCK * DELTA_BLOCK + 2 * DELTA_BLOCK)

    @property
    def state_bytes(self) -> int:
        """Bytes of a layer's state: the last inputs of the convolution, and a matrix a head."""
        return 4 * ((CONV - 1) * self.channels + self.width * self.k_dim)


@dataclass(frozen=True)
class ShortConvConfig(Recurrence):
    """Sizes of gated short convolutions (arXiv 2511.23404).

    Attributes:
        channels: each is convolved by itself.
        kernel: width of the convolution, in positions, the last one's own included.
    """

    name = "gated short convolution"
    channels: int
    kernel: int

    def __post_init__(self) -> None:
        check_count("channels", self.channels)
        check_count("kernel", self.kernel)
        if self.kernel < 2:
            raise UnsupportedModelError("a convolution of a single position is not supported")

    @property
    def rows(self) -> int:
        """What a position's own gate B, the gate C of its result, and the channels take."""
        return 3 * self.channels

    @property
    def width(self) -> int:
        """All channels."""
        return self.channels

    @property
    def state_bytes(self) -> int:
        """Bytes of a layer's state: the last inputs of the convolution, and what fills 16."""
        return -(-(self.kernel - 1) * self.channels // 4) * 16
