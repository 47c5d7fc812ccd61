"""Numpy's word on GGUF's quantized blocks: what they decode to, and random ones.

Written from the formats' description, not from the package; test_block_formats.py holds it against
what the ``gguf`` package makes of the same bytes.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

__all__ = ["BLOCKS", "FIXTURE", "decode", "random_blocks", "rows_of_blocks"]

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "blocks.npz"

NORMAL_VALUES = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
FLOAT4_VALUES = (0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6)


def half(blocks: np.ndarray, at: int) -> np.ndarray:
    """A float16 of each block, float32 (n, 1)."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view(np.float16).astype(np.float32)


def nibbles(data: np.ndarray) -> np.ndarray:
    """(n, bytes) -> (n, 2 * bytes): all low nibbles, then all high ones."""
    return np.concatenate([data & 15, data >> 4], 1)


def word_bits(blocks: np.ndarray, at: int, count: int) -> np.ndarray:
    """The bits of little-endian bytes, the lowest first: (n, count)."""
    return np.unpackbits(blocks[:, at : at + count // 8], axis=1, bitorder="little")


def chunked_nibbles(data: np.ndarray, width: int) -> np.ndarray:
    """Each ``width`` bytes hold as many elements in low nibbles, then as many in high ones."""
    chunks = data.reshape(len(data), -1, width)
    return np.concatenate([chunks & 15, chunks >> 4], 2).reshape(len(data), -1)


def chunked_pairs(data: np.ndarray) -> np.ndarray:
    """Each 32 bytes hold 32 elements in their lowest two bits, 32 in the next two, and so on."""
    chunks = data.reshape(len(data), -1, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None]
    return (chunks & 3).reshape(len(data), -1)


def top_bits(data: np.ndarray) -> np.ndarray:
    """Bit b of 32 bytes belongs to the 32 elements of block b: (n, 256)."""
    return (data[:, None, :] >> np.arange(8, dtype=np.uint8)[:, None] & 1).reshape(len(data), -1)


def scaled(codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """codes * scales, float32, the scales as long as there are groups."""
    groups = codes.astype(np.float32).reshape(len(codes), scales.shape[1], -1)
    return groups * scales.astype(np.float32)[:, :, None]


def shifted(values: np.ndarray, minima: np.ndarray) -> np.ndarray:
    return values - minima.astype(np.float32)[:, :, None]


def q4_0(b: np.ndarray) -> np.ndarray:
    return scaled(nibbles(b[:, 2:]).astype(int) - 8, half(b, 0))


def q4_1(b: np.ndarray) -> np.ndarray:
    return shifted(scaled(nibbles(b[:, 4:]), half(b, 0)), -half(b, 2))


def q5_0(b: np.ndarray) -> np.ndarray:
    codes = nibbles(b[:, 6:]) + 16 * word_bits(b, 2, 32)
    return scaled(codes.astype(int) - 16, half(b, 0))


def q5_1(b: np.ndarray) -> np.ndarray:
    codes = nibbles(b[:, 8:]) + 16 * word_bits(b, 4, 32)
    return shifted(scaled(codes, half(b, 0)), -half(b, 2))


def q8_0(b: np.ndarray) -> np.ndarray:
    return scaled(b[:, 2:].view(np.int8), half(b, 0))


def q2_k(b: np.ndarray) -> np.ndarray:
    own = b[:, :16]
    values = scaled(chunked_pairs(b[:, 16:80]), half(b, 80) * (own & 15))
    return shifted(values, half(b, 82) * (own >> 4))


def q3_k(b: np.ndarray) -> np.ndarray:
    codes = chunked_pairs(b[:, 32:96]) + 4 * top_bits(b[:, :32]).astype(int) - 4
    upper = b[:, None, 104:108] >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    own = nibbles(b[:, 96:104]) + 16 * upper.reshape(len(b), 16).astype(int) - 32
    return scaled(codes, half(b, 108) * own.astype(np.float32))


def own_k(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """6-bit scales and minima of Q4_K and Q5_K: (n, 8) each."""
    first, second, lower = b[:, 4:8], b[:, 8:12], b[:, 12:16]
    scales = np.concatenate([first & 63, lower & 15 | first >> 6 << 4], 1)
    return scales, np.concatenate([second & 63, lower >> 4 | second >> 6 << 4], 1)


def q4_k(b: np.ndarray) -> np.ndarray:
    scales, minima = own_k(b)
    values = scaled(chunked_nibbles(b[:, 16:], 32), half(b, 0) * scales)
    return shifted(values, half(b, 2) * minima)


def q5_k(b: np.ndarray) -> np.ndarray:
    scales, minima = own_k(b)
    codes = chunked_nibbles(b[:, 48:], 32) + 16 * top_bits(b[:, 16:48])
    return shifted(scaled(codes, half(b, 0) * scales), half(b, 2) * minima)


def q6_k(b: np.ndarray) -> np.ndarray:
    codes = chunked_nibbles(b[:, :128], 64) + 16 * chunked_pairs(b[:, 128:192]).astype(int) - 32
    own = np.ascontiguousarray(b[:, 192:208]).view(np.int8).astype(np.float32)
    return scaled(codes, half(b, 208) * own)


def iq4_nl(b: np.ndarray) -> np.ndarray:
    return scaled(np.array(NORMAL_VALUES)[nibbles(b[:, 2:])], half(b, 0))


def iq4_xs(b: np.ndarray) -> np.ndarray:
    upper = word_bits(b, 2, 16).reshape(len(b), 8, 2) @ np.array([16, 32])
    lower = np.stack([b[:, 4:8] & 15, b[:, 4:8] >> 4], 2).reshape(len(b), 8)
    codes = np.array(NORMAL_VALUES)[chunked_nibbles(b[:, 8:], 16)]
    return scaled(codes, half(b, 0) * (lower + upper - 32).astype(np.float32))


def mxfp4(b: np.ndarray) -> np.ndarray:
    scale = np.exp2(b[:, :1].astype(np.float64) - 127)
    values = np.array(FLOAT4_VALUES)[nibbles(b[:, 1:])]
    return np.asarray((scale * values).astype(np.float32))


# Bytes and elements of a block, its decoder, and where its float16 scale and minimum stand.
BLOCKS: dict[str, tuple[int, int, Callable[[np.ndarray], np.ndarray], int, int | None]] = {
    "q4_0": (18, 32, q4_0, 0, None),
    "q4_1": (20, 32, q4_1, 0, 2),
    "q5_0": (22, 32, q5_0, 0, None),
    "q5_1": (24, 32, q5_1, 0, 2),
    "q8_0": (34, 32, q8_0, 0, None),
    "q2_k": (84, 256, q2_k, 80, 82),
    "q3_k": (110, 256, q3_k, 108, None),
    "q4_k": (144, 256, q4_k, 0, 2),
    "q5_k": (176, 256, q5_k, 0, 2),
    "q6_k": (210, 256, q6_k, 208, None),
    "iq4_nl": (18, 32, iq4_nl, 0, None),
    "iq4_xs": (136, 256, iq4_xs, 0, None),
    "mxfp4": (17, 32, mxfp4, 0, None),
}


def decode(fmt: str, data: bytes, columns: int) -> np.ndarray:
    """Rows of blocks -> float32 (rows, columns)."""
    size, _, decoder, *_ = BLOCKS[fmt]
    values = decoder(np.frombuffer(data, np.uint8).reshape(-1, size))
    return np.ascontiguousarray(values, np.float32).reshape(-1, columns)


def random_blocks(fmt: str, rows: int, columns: int, rng: np.random.Generator) -> bytes:
    """Any bits, but finite scales of any size, down to the smallest float16, and zero."""
    size, length, _, *halves = BLOCKS[fmt]
    count = rows * columns // length
    blocks = rng.integers(0, 256, (count, size), np.uint8)
    if fmt == "mxfp4":
        blocks[:, 0] = rng.integers(2, 248, count)  # float32 holds all values, unrounded
        return blocks.tobytes()
    for at in halves:
        if at is not None:
            bits = rng.integers(0, 0x7C00, count, np.uint16) | rng.integers(0, 2, count) << 15
            bits[::7] = 0
            bits[1::7] = 1  # the smallest subnormal
            bits[2::7] = 0x7BFF  # the greatest number
            blocks[:, at : at + 2] = bits.astype("<u2")[:, None].view(np.uint8)
    return blocks.tobytes()


def rows_of_blocks(fmt: str, weight: np.ndarray) -> bytes:
    """Random blocks in the place of each row of a weight: of its size, and always the same.

    What a row becomes depends on that row alone, so rows may be reordered before.
    """
    return b"".join(row_of_blocks(fmt, row) for row in np.ascontiguousarray(weight))


def row_of_blocks(fmt: str, row: np.ndarray) -> bytes:
    """See ``rows_of_blocks``."""
    size, length, _, scale_at, minimum_at = BLOCKS[fmt]
    noise = random.Random(zlib.crc32(row.tobytes())).randbytes(len(row) // length * size)
    blocks = np.frombuffer(noise, np.uint8).reshape(-1, size).copy()
    deviation = float(row.std())
    if fmt == "mxfp4":
        blocks[:, 0] = 127 + round(np.log2(deviation / 2.93))
        return blocks.tobytes()
    scale = np.float16(deviation / UNIT_DEVIATIONS[fmt])
    blocks[:, scale_at : scale_at + 2] = np.array([scale]).view(np.uint8)
    if minimum_at is not None:
        minimum = np.float16(scale * MEAN_CODES[fmt])
        blocks[:, minimum_at : minimum_at + 2] = np.array([minimum]).view(np.uint8)
    return blocks.tobytes()


# The standard deviation of random blocks whose scale is 1, and the minimum that makes their mean 0.
MEAN_CODES = {"q4_1": -7.5, "q5_1": -15.5, "q2_k": 1.5, "q4_k": 7.5, "q5_k": 15.5}
UNIT_DEVIATIONS = {
    "q4_0": 4.61, "q4_1": 4.61, "q5_0": 9.23, "q5_1": 9.23, "q8_0": 73.9, "q2_k": 13.9,
    "q3_k": 43.3, "q4_k": 258.0, "q5_k": 527.0, "q6_k": 1366.0, "iq4_nl": 67.1, "iq4_xs": 1247.0,
}  # fmt: skip
