"""Numpy's word on weight formats: quantize as ggml's reference does, dequantize, and lay out as
kernels/quant/*.wgsl read it. Independent of the package's own code."""

from __future__ import annotations

import numpy as np
from blocks import decode, rows_of_blocks

BLOCK = 32
LAID_OUT = ("f32", "f16", "bf16", "q4_0", "q4_1", "q8_0")


def to_bf16(values: np.ndarray) -> np.ndarray:
    """float32 to bfloat16 bits (uint16), rounding to nearest even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def quantize_q4_0(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 32) float32 -> f16 scales (n,), codes 0..15 (n, 32)."""
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(1)[:, None], 1)[:, 0]
    scale = extreme / np.float32(-8)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    codes = np.clip(blocks * inverse[:, None] + np.float32(8.5), 0, 15).astype(np.uint8)
    return scale.astype(np.float16), codes


def quantize_q4_1(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, 32) float32 -> f16 scales, f16 minima (n,), codes 0..15 (n, 32)."""
    low, high = blocks.min(1), blocks.max(1)
    scale = (high - low) / np.float32(15)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    codes = np.clip((blocks - low[:, None]) * inverse[:, None] + np.float32(0.5), 0, 15)
    return scale.astype(np.float16), low.astype(np.float16), codes.astype(np.uint8)


def quantize_q8_0(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 32) float32 -> f16 scales (n,), codes -127..127 (n, 32)."""
    scale = np.abs(blocks).max(1) / np.float32(127)
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    scaled = blocks * inverse[:, None]
    return scale.astype(np.float16), (np.sign(scaled) * np.floor(np.abs(scaled) + 0.5)).astype(
        np.int8
    )


def pad_rows(weight: np.ndarray) -> np.ndarray:
    """Rows padded with zeros to whole blocks."""
    return np.pad(weight, ((0, 0), (0, -weight.shape[1] % BLOCK)))


def without_ties(weight: np.ndarray) -> np.ndarray:
    """Zeros in the place of elements half-way between two codes, of Q4_0 or of Q8_0.

    Halves have many; a GPU's division, which need not be exact, may take either code.
    """
    padded = pad_rows(weight)
    blocks = padded.reshape(-1, BLOCK)
    greatest = np.abs(blocks).max(1, keepdims=True)
    shares = np.divide(blocks, greatest, out=np.zeros_like(blocks), where=greatest > 0)
    for steps in (8, 127):
        blocks = np.where(np.abs(shares * steps % 1 - 0.5) < 1e-4, 0, blocks)
    return blocks.reshape(padded.shape)[:, : weight.shape[1]]


def nibble_words(codes: np.ndarray) -> np.ndarray:
    """(..., 8) codes -> (...) words: four in the bytes' low nibbles, four in the high ones."""
    packed = codes[..., :4] | codes[..., 4:] << 4
    return np.ascontiguousarray(packed.astype(np.uint8)).view(np.uint32)[..., 0]


def quads(values: np.ndarray, per: int) -> np.ndarray:
    """(rows, columns) -> (quads, columns / per, 4, per); zeros for the last quad's missing rows."""
    rows = np.pad(values, ((0, -len(values) % 4), (0, 0)))
    return np.ascontiguousarray(rows.reshape(len(rows) // 4, 4, -1, per).transpose(0, 2, 1, 3))


def laid_out(fmt: str, weight: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A (rows, columns) float32 weight in a format: (what it decodes to, bindings by name)."""
    padded = pad_rows(weight)
    rows, columns = padded.shape
    blocks = padded.reshape(-1, BLOCK)
    scales = (rows, columns // BLOCK)
    match fmt:
        case "f32":
            return padded, {"quants": quads(padded, 1)}
        case "f16":
            half = padded.astype(np.float16)
            return half.astype(np.float32), {"quants": quads(half, 2)}
        case "bf16":
            bits = to_bf16(padded)
            return from_bf16(bits), {"quants": quads(bits, 2)}
        case "q4_0":
            scale, codes = quantize_q4_0(blocks)
            decoded = (codes.astype(np.float32) - 8) * scale.astype(np.float32)[:, None]
            words = nibble_words(quads(codes.reshape(rows, columns), 8))
            arrays = {"quants": words, "scales": quads(scale.reshape(scales), 1)}
        case "q4_1":
            scale, low, codes = quantize_q4_1(blocks)
            decoded = codes * scale.astype(np.float32)[:, None] + low.astype(np.float32)[:, None]
            words = nibble_words(quads(codes.reshape(rows, columns), 8))
            pairs = np.stack([scale, low], 1).reshape(rows, -1)
            arrays = {"quants": words, "scales": quads(pairs, 2)}
        case "q8_0":
            scale, codes = quantize_q8_0(blocks)
            decoded = codes.astype(np.float32) * scale.astype(np.float32)[:, None]
            unsigned = (codes.astype(np.int16) + 128).astype(np.uint8)
            quants = quads(unsigned.reshape(rows, columns), 8)
            # four rows' columns 0-3, then their columns 4-7
            halves = np.ascontiguousarray(
                quants.reshape(*quants.shape[:2], 4, 2, 4).transpose(0, 1, 3, 2, 4)
            )
            arrays = {"quants": halves, "scales": quads(scale.reshape(scales), 1)}
        case _:
            raise ValueError(fmt)
    return decoded.reshape(rows, columns).astype(np.float32), arrays


def kept(fmt: str, weight: np.ndarray) -> np.ndarray:
    """What a format keeps of a (rows, columns) weight; of its size alone (``rows_of_blocks``)
    where ``laid_out`` does not know the format."""
    if fmt in LAID_OUT:
        return laid_out(fmt, weight)[0][:, : weight.shape[1]]
    return decode(fmt, rows_of_blocks(fmt, weight), weight.shape[1])


def gguf_bytes(fmt: str, weight: np.ndarray) -> bytes:
    """The weight's rows as a GGUF file stores them (columns a multiple of the block)."""
    if fmt not in LAID_OUT:
        return rows_of_blocks(fmt, weight)
    blocks = weight.reshape(-1, BLOCK) if fmt.startswith("q") else weight
    match fmt:
        case "f32":
            return weight.astype(np.float32).tobytes()
        case "f16":
            return weight.astype(np.float16).tobytes()
        case "bf16":
            return to_bf16(weight).tobytes()
        case "q4_0":
            scale, codes = quantize_q4_0(blocks)
            packed = codes[:, :16] | codes[:, 16:] << 4
            parts = [scale[:, None].view(np.uint8), packed]
        case "q4_1":
            scale, low, codes = quantize_q4_1(blocks)
            packed = codes[:, :16] | codes[:, 16:] << 4
            parts = [scale[:, None].view(np.uint8), low[:, None].view(np.uint8), packed]
        case "q8_0":
            scale, codes = quantize_q8_0(blocks)
            parts = [scale[:, None].view(np.uint8), codes.view(np.uint8)]
        case _:
            raise ValueError(fmt)
    return np.concatenate(parts, 1).tobytes()
