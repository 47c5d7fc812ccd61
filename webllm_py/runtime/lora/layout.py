"""Where what adapters add to a matrix lies in its buffer; see kernels/linear/finish_lora.wgsl."""

from __future__ import annotations

from array import array
from collections.abc import Container
from dataclasses import dataclass

from webllm_py.errors import DeviceLimitError
from webllm_py.models.lora import Segment
from webllm_py.models.weights import Matrix

__all__ = ["Layout", "Placed"]

MOST_VEC4 = 1 << 24  # float32 holds whole numbers up to there


@dataclass(frozen=True)
class Placed:
    """A segment, and where it lies: nowhere yet, or from vec4 ``a_at`` and ``b_at`` of a buffer on.

    Attributes:
        index: of the adapter among those that are loaded.
    """

    segment: Segment
    index: int
    a_at: int = 0
    b_at: int = 0

    @property
    def quads(self) -> int:
        """Quads of ranks."""
        return -(-self.segment.pair.rank // 4)

    @property
    def row_quads(self) -> int:
        """vec4 of a rank's part of B."""
        return -(-self.segment.order.count // 4)


@dataclass(frozen=True)
class Layout:
    """The buffer of a matrix.

    Args:
        at: vec4 of the matrix's norm and biases, which come first.
        rows: of x that there is to be room for, or parts of a row (models/lora_ahead.py).
    """

    matrix: Matrix
    at: int
    rows: int
    placed: tuple[Placed, ...]

    def __post_init__(self) -> None:
        if self.nbytes > 16 * MOST_VEC4:
            raise DeviceLimitError(
                f"the adapters beside {self.matrix.name} need {self.nbytes >> 20} MiB, more than "
                "one buffer of them holds; unload one, or take one of a lower rank"
            )

    @property
    def quads(self) -> int:
        """Quads of ranks, all adapters' together."""
        return sum(placed.quads for placed in self.placed)

    @property
    def row_vec4(self) -> int:
        """vec4 of a rank's part of A."""
        return self.matrix.units * 2

    @property
    def a_at(self) -> int:
        """The vec4 that A begins at."""
        return self.at + 1 + self.quads * (2 + self.rows)

    @property
    def places(self) -> list[tuple[int, int]]:
        """Where each segment's A and B begin, in vec4."""
        a, b = self.a_at, self.a_at + 4 * self.quads * self.row_vec4
        found = []
        for placed in self.placed:
            found.append((a, b))
            a += 4 * placed.quads * self.row_vec4
            b += 4 * placed.quads * placed.row_quads
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of the buffer."""
        b = sum(4 * placed.quads * placed.row_quads for placed in self.placed)
        return 16 * (self.a_at + 4 * self.quads * self.row_vec4 + b)

    def table(self, used: Container[int]) -> bytes:
        """The vec4 from ``at`` on that say what lies where, of the adapters in use."""
        b, a = array("f"), array("f")
        for placed, (a_at, b_at) in zip(self.placed, self.places, strict=True):
            if placed.index not in used:
                continue
            segment, vec4 = placed.segment, placed.row_quads
            for quad in range(placed.quads):
                b.extend((b_at + 4 * quad * vec4, segment.first // 4, vec4, segment.spread))
                a.extend((a_at + 4 * quad * self.row_vec4, placed.index, 0.0, 0.0))
        unused = array("f", bytes(16 * self.quads - 4 * len(b)))
        head = array("f", (len(b) // 4, 0.0, 0.0, 0.0))
        return (head + b + unused + a + unused).tobytes()
