"""A paged cache as the kernels have it, made in numpy, and attention over it in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = [
    "CACHES",
    "FINE",
    "IN_CHROMIUM",
    "MAX_PAGES",
    "PAGE",
    "PLAIN",
    "PREFILLS",
    "Q8_SHAPES",
    "ROWS_AT",
    "SHAPES",
    "THETA",
    "Cache",
    "Shape",
    "attention",
    "narrow",
    "rope_table",
    "rotated",
    "sink_words",
    "sinks_of",
    "wide",
]

PAGE, MAX_PAGES, FINE, ROWS_AT = 32, 16, 8, 4
MAX_ROWS = 64
PAGES_AT = ROWS_AT + 4 * MAX_ROWS
THETA = 10000.0


@dataclass
class Shape:
    heads: int
    kv_heads: int
    head_dim: int
    rotary: int


SHAPES = [
    Shape(4, 4, 8, 8),
    Shape(2, 1, 64, 64),
    Shape(8, 2, 80, 32),
    Shape(7, 1, 96, 96),
    Shape(6, 2, 128, 128),
]
# Where 8-bit blocks are, or are not, whole parts of a head; the rest is as with the others.
Q8_SHAPES = [SHAPES[2], SHAPES[4]]
PLAIN = [*((shape, "f16") for shape in SHAPES), (SHAPES[2], "f32"), (SHAPES[4], "f32")]
CACHES = [*PLAIN, *((shape, "q8") for shape in Q8_SHAPES)]
# The shortest heads, the raggedest ones, and each format.
IN_CHROMIUM = [(SHAPES[0], "f16"), (SHAPES[3], "f16"), (SHAPES[4], "f32"), (SHAPES[2], "q8")]
# The first position of the rows, and how many there are.
PREFILLS = [(0, 1), (0, 37), (70, 40)]
DTYPES = {"f16": np.float16, "f32": np.float32, "q8": np.uint8}


def q8_blocks(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(positions, kv_heads, head_dim) -> bytes of that shape, and float16 (positions, blocks): the
    greatest of every 32 elements of a position."""
    rows = np.clip(x.reshape(len(x), x.shape[1] * x.shape[2]), -65504, 65504).astype(np.float32)
    width = rows.shape[1]
    blocks = np.pad(rows, ((0, 0), (0, -width % 32))).reshape(len(x), -(-width // 32), 32)
    greatest = np.abs(blocks).max(2).astype(np.float16)
    kept = greatest.astype(np.float32)[:, :, None]
    steps = np.divide(127, kept, out=np.zeros_like(kept), where=kept > 0)
    codes = np.clip(np.round(blocks * steps), -127, 127) + 128
    codes = codes.reshape(len(x), blocks.shape[1] * 32)[:, :width].reshape(x.shape)
    return codes.astype(np.uint8), greatest


class Cache:
    """A sequence's keys and values, and the layer's pages as the kernels lay them out."""

    def __init__(self, shape: Shape, kv: str, rng: np.random.Generator):
        self.shape, self.kv = shape, kv
        self.page_table = rng.permutation(MAX_PAGES).astype(np.uint32)

    def kept(self, x: np.ndarray) -> np.ndarray:
        """What the format leaves of keys or values (positions, kv_heads, head_dim)."""
        if self.kv != "q8":
            return x.astype(DTYPES[self.kv])
        codes, greatest = q8_blocks(x)
        scales = np.repeat(greatest.astype(np.float32) / np.float32(127), 32, axis=1)
        width = self.shape.kv_heads * self.shape.head_dim
        return (codes - np.float32(128)) * scales[:, :width].reshape(x.shape)

    def pages(self, keys: np.ndarray, values: np.ndarray, first: int = 0) -> np.ndarray:
        """(positions, kv_heads, head_dim) each, from position ``first`` -> the buffer, by pages."""
        if self.kv != "q8":
            return self.elements(keys, values, first)
        (keys, key_scales), (values, value_scales) = q8_blocks(keys), q8_blocks(values)
        scales = np.zeros((MAX_PAGES, key_scales.shape[1], PAGE, 2), np.float16)
        for position, row in enumerate(zip(key_scales, value_scales, strict=True), first):
            page, t = self.page_table[position // PAGE], position % PAGE
            scales[page, :, t] = np.stack(row, 1)
        parts = (self.elements(keys, values, first), scales.view(np.uint8))
        return np.concatenate([part.reshape(MAX_PAGES, -1) for part in parts], axis=1)

    def elements(self, keys: np.ndarray, values: np.ndarray, first: int) -> np.ndarray:
        """The pages without scales."""
        s = self.shape
        pool = np.zeros((MAX_PAGES, 2, s.kv_heads, PAGE * s.head_dim), DTYPES[self.kv])
        for position, (key, value) in enumerate(zip(keys, values, strict=True), first):
            page, t = self.page_table[position // PAGE], position % PAGE
            k = pool[page, 0].reshape(s.kv_heads, s.head_dim // 8, PAGE, 8)
            k[:, :, t] = key.reshape(s.kv_heads, -1, 8)
            v = pool[page, 1].reshape(s.kv_heads, PAGE, s.head_dim)
            v[:, t] = value
        return pool

    def step(self, positions: range, ahead: Sequence[int] | None = None) -> np.ndarray:
        words = np.zeros(PAGES_AT + 2 * MAX_PAGES, np.uint32)
        words[0] = len(positions)
        for m, position in enumerate(positions):
            more = ahead[m] if ahead else 7  # of no meaning where nothing is seen ahead
            words[ROWS_AT + 4 * m : ROWS_AT + 4 * m + 4] = (0, position, 1, more)  # slot 1
        words[PAGES_AT + MAX_PAGES :] = self.page_table
        return words

    @property
    def reader(self) -> dict[str, str]:
        words = {"pages": "kv/pages", "kv_read": f"kv/read_{self.kv}"}
        return {**words, "q8": "kv/q8"} if self.kv == "q8" else words

    @property
    def words(self) -> dict[str, int]:
        return {
            "KV_HEADS": self.shape.kv_heads,
            "HEAD_DIM": self.shape.head_dim,
            "PAGE": PAGE,
            "STEP_ROWS": ROWS_AT,
            "STEP_PAGES": PAGES_AT,
            "MAX_PAGES": MAX_PAGES,
        }


def attention(
    q: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    first: int,
    window: int = 0,
    softcap: float = 0.0,
    sinks: np.ndarray | None = None,
    ahead: Sequence[int] | None = None,
) -> np.ndarray:
    """Causal attention in float64: q (rows, heads, d) at positions first, first + 1, ...; with
    ``ahead`` each row also sees so many keys behind its own."""
    out = np.zeros(q.shape)
    per_kv = q.shape[1] // keys.shape[1]
    for m in range(len(q)):
        end = first + m + 1
        seen = slice(max(0, end - window) if window else 0, end + (ahead[m] if ahead else 0))
        for h in range(q.shape[1]):
            k = keys[seen, h // per_kv].astype(np.float64)
            s = k @ q[m, h] / np.sqrt(q.shape[2])
            if softcap:
                s = softcap * np.tanh(s / softcap)
            p = np.exp(s - s.max())
            sink = 0.0 if sinks is None else np.exp(sinks[h] - s.max())
            out[m, h] = p @ values[seen, h // per_kv] / (p.sum() + sink)
    return out


def sinks_of(shape: Shape) -> np.ndarray:
    """A score of each head that has no value: most are large enough to matter."""
    return np.linspace(-3, 6, shape.heads).astype(np.float32)


def sink_words(sinks: np.ndarray | None) -> dict[str, str]:
    return {"sinks": "attention/no_sinks" if sinks is None else "attention/sinks"}


def wide(q: np.ndarray) -> np.ndarray:
    """Zeros for an answer whose rows are 8 elements longer than its heads."""
    return np.zeros((len(q), q.shape[1] * q.shape[2] + 8), np.float32)


def narrow(y: np.ndarray, q: np.ndarray) -> np.ndarray:
    assert not y[:, -8:].any(), "written past the heads"
    return y[:, :-8].reshape(q.shape)


def rope_table(rotary: int) -> np.ndarray:
    frequencies = THETA ** (-np.arange(0, rotary, 2) / rotary)
    positions = np.concatenate([np.arange(FINE), FINE * np.arange(MAX_PAGES * PAGE // FINE)])
    angles = positions[:, None] * frequencies
    return np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float32)


def rotated(x: np.ndarray, position: int, rotary: int) -> np.ndarray:
    """(heads, d): adjacent pairs of the first ``rotary`` elements turned."""
    angle = position * THETA ** (-np.arange(0, rotary, 2) / rotary)
    out = x.astype(np.float64).copy()
    even, odd = x[:, 0:rotary:2], x[:, 1:rotary:2]
    out[:, 0:rotary:2] = even * np.cos(angle) - odd * np.sin(angle)
    out[:, 1:rotary:2] = even * np.sin(angle) + odd * np.cos(angle)
    return out
