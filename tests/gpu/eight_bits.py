"""Activations in 8 bits: numpy's word on them, their buffer, and the kernels that multiply them."""

from __future__ import annotations

import numpy as np

from webllm_py.gpu.kernels import Kernel, kernel

BLOCK = 32


def quantized(x: np.ndarray, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) in whole blocks -> int8 of that shape, and scales (rows, blocks)."""
    blocks = x.reshape(len(x), -1, block)
    greatest = np.abs(blocks).max(2, keepdims=True)
    steps = np.divide(np.float32(127), greatest, out=np.zeros_like(greatest), where=greatest > 0)
    codes = np.round(blocks * steps).astype(np.int8)
    return codes.reshape(x.shape), greatest[:, :, 0] / np.float32(127)


def buffer_of(codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The words that gemm_dot4.wgsl reads: codes, then scales, then sums, by quads of rows."""
    kept = [codes, scales.astype(np.float32), sums_of(codes)]
    quads = [part.view(np.uint32).reshape(len(part) // 4, 4, -1) for part in kept]
    return np.concatenate([part.transpose(0, 2, 1).reshape(-1) for part in quads])


def sums_of(codes: np.ndarray) -> np.ndarray:
    """(rows, 2 * blocks) int16: the sums of the halves of blocks."""
    return codes.reshape(len(codes), -1, BLOCK // 2).sum(2, dtype=np.int16)


def parts_of(words: np.ndarray, rows: int, columns: int) -> tuple[np.ndarray, ...]:
    """What ``buffer_of`` made, back again, with the sums or without."""
    size = rows * columns // 4
    cuts = [part for part in np.split(words, [size, size + rows * columns // BLOCK]) if part.size]
    kept = [part.reshape(rows // 4, -1, 4).transpose(0, 2, 1).reshape(rows, -1) for part in cuts]
    types = (np.int8, np.float32, np.int16)
    return tuple(np.ascontiguousarray(part).view(t) for part, t in zip(kept, types, strict=False))


def units_of(codes: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """(rows, units, 4): the words that gemv_rows_dot4.wgsl reads; see dot4/units.wgsl."""
    units = codes.reshape(len(codes), -1, 8)
    words = np.ascontiguousarray(units).view(np.uint32)
    kept = np.stack([units.sum(2), scales], axis=2).astype(np.float32)
    return np.concatenate([words, kept.view(np.uint32)], axis=2)


def snippets(fmt: str, epilogue: str = "store") -> dict[str, str]:
    return {
        "quant": f"dot4/{fmt}",
        "epilogue": f"epilogue/{epilogue}",
        "finish": "linear/finish",
    }


def dot4(
    fmt: str,
    epilogue: str,
    shape: tuple[int, ...],
    tile: tuple[int, int, int, bool],
    **constants: float,
) -> Kernel:
    """The kernel for x of (rows, columns)."""
    rows, columns = shape
    tm, tn, splits, wide = tile
    share = tm * tn // (64 if wide else 32)
    return kernel(
        "gemm_dot4",
        snippets=snippets(fmt, epilogue),
        UNITS=columns // 8,
        SCALES_AT=rows * columns // 16,
        SUMS_AT=rows * columns // 16 + rows * columns // 128,
        TM=tm,
        TN=tn,
        SPLITS=splits,
        WIDE=wide,
        SHARE=share,
        THREADS=share * splits,
        **constants,
    )


def dot4_row(
    fmt: str, columns: int, shape: tuple[int, int, int, int, int], **constants: float
) -> Kernel:
    """The kernel for one row, in a shape of lanes, groups, quads, unroll and tile."""
    lanes, groups, quads, unroll, tile = shape
    return kernel(
        "gemv_dot4",
        snippets={**snippets(fmt), "source": "source/row"},
        UNITS=columns // 8,
        LANES=lanes,
        GROUPS=groups,
        QUADS=quads,
        UNROLL=unroll,
        TILE=tile,
        THREADS=lanes * groups,
        **constants,
    )


def dot4_rows(fmt: str, columns: int, shape: tuple[int, int, int], **constants: float) -> Kernel:
    """The kernel for a few rows, in a shape of rows a workgroup, lanes and groups."""
    rows, lanes, groups = shape
    return kernel(
        "gemv_rows_dot4",
        snippets=snippets(fmt),
        UNITS=columns // 8,
        ROWS=rows,
        LANES=lanes,
        GROUPS=groups,
        THREADS=lanes * groups,
        **constants,
    )
