"""Brings tensors from a file's bytes to the readers' buffers, by the loading kernels."""

from __future__ import annotations

import numpy as np
from blocks import BLOCKS, decode, rows_of_blocks
from packed import PACKED, Made
from runners import Runner

from webllm_py.checkpoint.checkpoint import FLOAT8, FORMATS, WORDS, TensorInfo
from webllm_py.checkpoint.quantized import joined, quantization_of
from webllm_py.gpu.kernels import kernel
from webllm_py.models.weights import Matrix, Part
from webllm_py.runtime.weights.repacks import repacks
from webllm_py.runtime.weights.storage import STORAGE, slice_plans

DTYPES = {"int32": WORDS, "uint8": FLOAT8, "uint16": FORMATS["BF16"]} | {
    name: FORMATS[f"F{name[5:]}"] for name in ("float16", "float32")
}


def staged(data: bytes) -> np.ndarray:
    return np.frombuffer(data + b"\xee" * (-len(data) % 4), np.uint32)


async def placed_blocks(
    runner: Runner,
    fmt: str,
    data: bytes,
    columns: int,
    arrays: dict[str, np.ndarray],
    first: int = 0,
    **sizes: int,
) -> dict[str, np.ndarray]:
    """The buffers after a piece of a tensor's rows, from row ``first`` on, went there."""
    size, length, *_ = BLOCKS[fmt]
    rows = len(data) // size * length // columns
    out = await runner.run(
        kernel(
            "repack",
            snippets={"format": f"repack/{fmt}", "order": "repack/by_rows"},
            BLOCKS=columns // 32,
            K=columns,
            **sizes,
        ),
        {"staged": staged(data), "piece": np.array([rows, first, 0], np.uint32), **arrays},
        (-(-rows * columns // 32 // 64),),
    )
    return {name: out[name] for name in arrays}


def zeroed(fmt: str, rows: int, columns: int) -> dict[str, np.ndarray]:
    sizes = STORAGE[fmt].sizes(rows, columns)
    return {name: np.zeros(-(-size // 16) * 4, np.uint32) for name, size in sizes.items()}


async def tame(
    runner: Runner, fmt: str, n: int, k: int, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A weight of variance 1: what it decodes to, and its buffers."""
    data = rows_of_blocks(fmt, rng.standard_normal((n, k), np.float32))
    return decode(fmt, data, k), await placed_blocks(runner, fmt, data, k, zeroed(fmt, n, k))


async def placed(runner: Runner, matrix: Matrix, data: bytes) -> dict[str, np.ndarray]:
    """The buffers of a matrix in one slice, after each part's tensors went there whole."""
    (plan,) = slice_plans(matrix, None, 1 << 30)
    sizes = STORAGE[plan.format].sizes(plan.rows, matrix.units * 8)
    arrays = {name: np.zeros(-(-size // 16) * 4, np.uint32) for name, size in sizes.items()}
    for part in plan.parts:
        for repack in repacks(matrix, plan, part):
            tensor = repack.tensor
            count, width = part.rows, matrix.blocks
            start, nbytes = tensor.offset, tensor.nbytes
            if repack.groups:
                count, width = repack.groups, count
            elif tensor.format.by_columns:
                count, width = tensor.format.blocks(tensor.shape[1]), count
            else:
                nbytes = nbytes // tensor.shape[0] * count
                start += nbytes // count * part.first
            bound = {name: arrays[name] for name in repack.buffers}
            out = await runner.run(
                repack.kernel,
                {
                    "staged": staged(data[start : start + nbytes]),
                    "piece": np.array([count, 0, 0], np.uint32),
                    **bound,
                },
                (-(-count * width // 64),),
            )
            arrays |= {name: out[name] for name in bound}
    return arrays


async def whole(
    runner: Runner, tensor: TensorInfo, data: bytes
) -> tuple[str, dict[str, np.ndarray]]:
    """A matrix that is one tensor: the reader of its format, and its buffers."""
    matrix = Matrix("w", *tensor.shape, (Part(tensor),))
    (plan,) = slice_plans(matrix, None, 1 << 30)
    return plan.format, await placed(runner, matrix, data)


def tensor_of(name: str, made: Made) -> tuple[TensorInfo, bytes]:
    """A matrix out of a file that holds it alone."""
    data, tensors = b"", {}
    for end, array in made.arrays.items():
        fmt = DTYPES[array.dtype.name]
        # The kernels' bytes come from here: there is no source.
        tensors[f"w{end}"] = TensorInfo(
            f"w{end}",
            array.shape,
            fmt,
            None,  # type: ignore[arg-type]
            len(data),
            array.nbytes,
        )
        data += array.tobytes()
    quantization = quantization_of({"quantization_config": PACKED[name].config}, "w")
    return joined(tensors, quantization, "w")["w.weight"], data
