"""Random blocks of GGUF's formats, with the spread that trained weights have."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count

from webllm_py.checkpoint.checkpoint import FORMATS

__all__ = ["LAYOUTS", "Pool"]

# Prime numbers, of blocks of 32 and of 256: rows, which are shorter, begin at another block each.
POOL_BLOCKS = {32: 65537, 256: 8191}


@dataclass(frozen=True)
class Layout:
    """Where a block's float16 scale and minimum stand.

    Attributes:
        spread: standard deviation of blocks of random bits whose scale is 1.
        middle: the minimum that makes their mean 0, of a scale of 1.
    """

    scale_at: int
    spread: float
    minimum_at: int | None = None
    middle: float = 0.0


# The spread of n even steps is sqrt((n * n - 1) / 12); that of the super-blocks, whose scales are
# products, was measured.
LAYOUTS: Mapping[str, Layout] = {
    "Q4_0": Layout(0, 4.61),
    "Q4_1": Layout(0, 4.61, 2, -7.5),
    "Q5_0": Layout(0, 9.23),
    "Q5_1": Layout(0, 9.23, 2, -15.5),
    "Q8_0": Layout(0, 73.9),
    "Q2_K": Layout(80, 13.9, 82, 1.5),
    "Q3_K": Layout(108, 43.3),
    "Q4_K": Layout(0, 258.0, 2, 7.5),
    "Q5_K": Layout(0, 527.0, 2, 15.5),
    "Q6_K": Layout(208, 1366.0),
    "IQ4_NL": Layout(0, 67.1),
    "IQ4_XS": Layout(0, 1247.0),
}


class Pool:
    """Random blocks of one format, and tensors cut from them."""

    def __init__(self, format: str):
        self.format = format
        self.block = max(32, FORMATS[format].block_size)
        self.block_bytes = FORMATS[format].nbytes(self.block)
        self.blocks = POOL_BLOCKS[self.block]
        self._random = random.Random(1).randbytes(self.blocks * self.block_bytes)
        self._scaled: dict[float, bytes] = {}
        self._starts = count(0, 7919)  # another block for every tensor

    def data(self, rows: int, columns: int, gain: float) -> Iterator[bytes]:
        """A matrix whose products have ``gain`` times the size of what goes in."""
        deviation = gain / math.sqrt(columns)
        if deviation not in self._scaled:
            self._scaled[deviation] = scaled(self._random, self.format, deviation)
        pool = self._scaled[deviation]
        at = next(self._starts) % self.blocks * self.block_bytes
        missing = rows * columns // self.block * self.block_bytes
        while missing:
            piece = pool[at : at + missing]
            yield piece
            at, missing = 0, missing - len(piece)


def scaled(noise: bytes, format: str, deviation: float) -> bytes:
    """Blocks of random bytes whose values have this standard deviation."""
    blocks, stride = bytearray(noise), FORMATS[format].block_bytes
    if format == "F16":
        # Any mantissa and sign, one exponent: |value| is even over [2^e, 2^(e+1)), whose root mean
        # square is 2^e * sqrt(7/3). The exponent and two bits of mantissa are in the second byte.
        exponent = round(math.log2(deviation / math.sqrt(7 / 3))) + 15
        high = bytes(byte & 0x83 | exponent << 2 for byte in range(256))
        blocks[1::2] = blocks[1::2].translate(high)
        return bytes(blocks)

    def put(at: int, data: bytes) -> None:
        for i, byte in enumerate(data, at):
            blocks[i::stride] = bytes([byte]) * (len(noise) // stride)

    if format == "MXFP4":
        put(0, bytes([round(math.log2(deviation / 2.93)) + 127]))
        return bytes(blocks)
    layout = LAYOUTS[format]
    step = deviation / layout.spread
    put(layout.scale_at, struct.pack("<e", step))
    if layout.minimum_at is not None:
        put(layout.minimum_at, struct.pack("<e", layout.middle * step))
    return bytes(blocks)
