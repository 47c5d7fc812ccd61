"""The kernels that bring a tensor's bytes to where they lie on the GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.checkpoint.mxfp4 import BYTE
from webllm_py.errors import UnsupportedModelError
from webllm_py.gpu.kernels import Kernel, kernel
from webllm_py.models.weights import BLOCK, Matrix, Part
from webllm_py.runtime.weights.storage import FLOATS, GROUPED, STORAGE, SlicePlan

__all__ = ["Repack", "repacks"]

FLOAT_FORMATS = tuple(name.lower() for name in FLOATS)
# The files of kernels/repack that are not called as the format, the file's or the GPU's.
REPACK = {
    "f32": "copy32",
    "f16": "copy16",
    "bf16": "copy16",
    "q4f16_1": "codes4",
    "q4f32_1": "codes4",
    "q3f16_1": "codes3",
    "mxfp4_hf": "codes4",
    "gptq4": "codes4",
    "gptq8": "codes8",
    "awq4": "awq4",
    "f8_e4m3": "bytes",
}
# Zeros by the format of their tensor: what is added, and the order of those in a word.
ZEROS = {
    "GPTQ_ZEROS": (1, "in_order"),
    "GPTQ_V2_ZEROS": (0, "in_order"),
    "AWQ_ZEROS": (0, "interleaved"),
}


@dataclass(frozen=True)
class Repack:
    """What takes the bytes of one tensor, as the file has them, to a part's rows of a slice.

    ``buffers`` of the slice are those that the kernel binds. ``groups`` of each row are what it
    places where it needs all of the tensor, whatever the rows.
    """

    tensor: TensorInfo
    kernel: Kernel
    buffers: tuple[str, ...]
    groups: int = 0


def repacks(matrix: Matrix, plan: SlicePlan, part: Part) -> list[Repack]:
    """For a part's own bytes, and for those of each of its companions."""
    tensor = part.tensor
    sizes = STORAGE[plan.format].sizes(plan.rows, 8 * matrix.units)
    own = [name for name in sizes if name == "quants" or not tensor.companions]
    source = tensor.format.name.lower()
    snippets = {"format": f"repack/{REPACK.get(source) or REPACK.get(plan.format, plan.format)}"}
    if source in FLOAT_FORMATS and source != plan.format:
        snippets = {"format": f"repack/quantize_{plan.format}", "source": f"repack/source_{source}"}
    made = [Repack(tensor, placing(matrix, plan, part, tensor, snippets), tuple(sorted(own)))]
    for name, companion in tensor.companions.items():
        made.append(companion_repack(matrix, plan, part, name, companion))
    return made


def companion_repack(
    matrix: Matrix, plan: SlicePlan, part: Part, name: str, tensor: TensorInfo
) -> Repack:
    """For the scales, zeros or tiles of a part's tensor; see kernels/repack."""
    codes = part.tensor.format
    if tensor.format == BYTE:
        made = placing(matrix, plan, part, tensor, {"format": "repack/exponents"})
        return Repack(tensor, made, ("scales",))
    if codes.name.lower() not in GROUPED:
        snippets = {"format": f"repack/group_{name}"}
        made = placing(matrix, plan, part, tensor, snippets, GROUP=codes.block_size)
        return Repack(tensor, made, ("scales",))
    kept = STORAGE[plan.format].group or BLOCK
    constants = {"GROUP": tensor.format.block_size, "KEPT": kept}
    groups = 0
    snippets = {"format": f"repack/affine_{name}"}
    if name == "zeros":
        plus, order = ZEROS[tensor.format.name]
        snippets["places"] = f"repack/{order}"
        constants |= {"BITS": 32 // tensor.format.block_rows, "PLUS": plus}
    elif name == "tiles":
        source = tensor.format.name.lower()
        snippets = {"format": "repack/tile_scales", "source": f"repack/source_{source}"}
        constants["TILE_ROWS"] = tensor.format.block_rows
        groups = matrix.blocks * BLOCK // kept
    made = placing(matrix, plan, part, tensor, snippets, **constants)
    return Repack(tensor, made, ("scales",), groups)


def placing(
    matrix: Matrix,
    plan: SlicePlan,
    part: Part,
    tensor: TensorInfo,
    snippets: Mapping[str, str],
    **constants: int,
) -> Kernel:
    """kernels/repack.wgsl, for a tensor that belongs to a part."""
    order = "by_rows"
    if tensor.format.by_columns or "TILE_ROWS" in constants:
        if part.run:
            raise UnsupportedModelError(
                f"{tensor.name} is not stored row by row, and its rows are of several parts"
            )
        order = "by_columns"
        first, end = plan.source_rows(part)
        constants |= {
            "ROWS": end - first,
            "FIRST": first,
            "STORED": tensor.shape[0],
            "FROM": part.first,
        }
    return kernel(
        "repack",
        snippets={**snippets, "order": f"repack/{order}"},
        BLOCKS=matrix.blocks,
        K=matrix.columns,
        BASE=(part.base - plan.row0) % 2**32,  # wraps where the part begins before the slice
        STRIDE=part.stride,
        HEAD_DIM=part.head_dim,
        ROTARY=part.rotary_dim,
        **constants,
    )
