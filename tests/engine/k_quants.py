"""The pocket model in Q4_K and Q6_K, as llama.cpp's Q4_K_M has them, by numpy's own quantizers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from blocks import decode

from webllm_py.checkpoint import GGUFWriter, open_checkpoint
from webllm_py.random_models.recipes import format_of

POCKET = Path(__file__).resolve().parents[2] / "demo" / "pocket" / "pocket.gguf"
ALL = 256  # columns of a super-block


def steps_of(values: np.ndarray, step: np.ndarray, least: int, most: int) -> np.ndarray:
    """Whole numbers of steps, 0 where a step is."""
    whole = np.divide(values, step, out=np.zeros_like(values), where=step > 0)
    return np.clip(np.rint(whole), least, most).astype(np.int64)


def half(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 1) float16, as bytes and as float32."""
    kept = values.astype(np.float16)
    return kept.view(np.uint8), kept.astype(np.float32)


def q4_k(weight: np.ndarray) -> bytes:
    """Each block of 32 from its least element, or 0, to its greatest."""
    blocks = weight.reshape(-1, 8, 32)
    low = -np.minimum(blocks.min(2), 0)
    wide = (blocks.max(2) + low) / 15
    (d_bytes, d), (m_bytes, m) = (half(v.max(1, keepdims=True) / 63) for v in (wide, low))
    s, n = steps_of(wide, d, 0, 63), steps_of(low, m, 0, 63)
    codes = steps_of(
        blocks + (m * n)[..., None], np.broadcast_to((d * s)[..., None], blocks.shape), 0, 15
    )
    own = [s[:, :4] | s[:, 4:] >> 4 << 6, n[:, :4] | n[:, 4:] >> 4 << 6]
    own.append(s[:, 4:] & 15 | (n[:, 4:] & 15) << 4)
    pairs = codes.reshape(-1, 4, 2, 32)
    nibbles = pairs[:, :, 0] | pairs[:, :, 1] << 4
    parts = [d_bytes, m_bytes, *own, nibbles.reshape(-1, 128)]
    return np.concatenate([part.astype(np.uint8) for part in parts], 1).tobytes()


def q6_k(weight: np.ndarray) -> bytes:
    """Each 16 columns between their greatest size and its negative."""
    groups = weight.reshape(-1, 16, 16)
    wide = np.abs(groups).max(2) / 31
    d_bytes, d = half(wide.max(1, keepdims=True) / 127)
    s = steps_of(wide, d, 0, 127)
    steps = np.broadcast_to((d * s)[..., None], groups.shape)
    codes = (steps_of(groups, steps, -32, 31) + 32).reshape(-1, 2, 4, 32)
    low, high = codes & 15, codes >> 4
    nibbles = low[:, :, :2] | low[:, :, 2:] << 4
    upper = (high << np.array([0, 2, 4, 6])[:, None]).sum(2)
    parts = [nibbles.reshape(-1, 128), upper.reshape(-1, 64), s, d_bytes]
    return np.concatenate([part.astype(np.uint8) for part in parts], 1).tobytes()


def f16(weight: np.ndarray) -> bytes:
    return weight.astype(np.float16).tobytes()


QUANTIZERS = {"Q4_K": q4_k, "Q6_K": q6_k, "F16": f16}


async def write_q4_k_m(path: Path, halves: str = "") -> Path:
    """The file, whose rows that are no whole super-blocks stay in Q8_0; returns it.

    Args:
        halves: tensors that are in float16: part of their names.
    """
    checkpoint = await open_checkpoint(POCKET)
    layers = checkpoint.metadata["llama.block_count"]
    writer = GGUFWriter()
    for key, value in checkpoint.metadata.items():
        writer.add(key, value)
    for name, tensor in checkpoint.tensors.items():
        data = bytes(await tensor.source.read(tensor.offset, tensor.nbytes))
        fmt, columns = tensor.format.name, tensor.shape[-1]
        if fmt == "Q8_0" and columns % ALL == 0:
            stem = name.removesuffix(".weight")
            fmt = format_of("q4_k_m", stem, columns, layers, tied=True)
            fmt = "F16" if halves and halves in name else fmt
            data = QUANTIZERS[fmt](decode("q8_0", data, columns))
        writer.add_tensor(name, tensor.shape, fmt, [data])
    await checkpoint.close()
    with path.open("wb") as file:
        writer.write(file)
    return path
