"""How a matrix lies on the GPU: its format, and its slices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from webllm_py.checkpoint.checkpoint import TensorInfo
from webllm_py.errors import DeviceLimitError, UnsupportedModelError
from webllm_py.models.weights import BLOCK, Matrix, Part

__all__ = [
    "FLOATS",
    "GROUPED",
    "STORAGE",
    "Quantize",
    "SlicePlan",
    "check_patterns",
    "quantization_label",
    "slice_plans",
    "storage_format",
]

Kind: TypeAlias = Literal["q4", "q8"]
Quantize: TypeAlias = Kind | Mapping[str, Kind | None]
"""What float tensors are quantized to; a mapping tells it by patterns of their names."""


@dataclass(frozen=True)
class Storage:
    """A format of kernels/quant: bytes of a row's ``block`` columns in each of its buffers.

    ``group`` columns share a scale where that is not a block.
    """

    quants: int
    scales: int = 0
    block: int = BLOCK
    group: int | None = None

    def sizes(self, rows: int, columns: int) -> dict[str, int]:
        """Bytes of each buffer for ``rows`` rows of ``columns``, padded to whole quads of rows."""
        rows = -(-rows // 4) * 4
        groups = -(-columns // (self.group or self.block))
        sizes = {
            "quants": rows * (columns // self.block) * self.quants,
            "scales": rows * groups * self.scales,
        }
        return {name: size for name, size in sizes.items() if size}


SUPERBLOCK = 8 * BLOCK
# A new format is a row here and in checkpoint.FORMATS (or in checkpoint/mlc_format.py), a reader in
# kernels/quant, and a file in kernels/repack that takes it from the checkpoint's layout to the
# reader's.
STORAGE: Mapping[str, Storage] = {
    "f32": Storage(4 * BLOCK),
    "f16": Storage(2 * BLOCK),
    "bf16": Storage(2 * BLOCK),
    "q4_0": Storage(16, 2),
    "q4_1": Storage(16, 4),
    "q5_0": Storage(20, 2),
    "q5_1": Storage(20, 4),
    "q8_0": Storage(32, 2),
    "q2_k": Storage(64, 20, SUPERBLOCK),
    "q3_k": Storage(96, 16, SUPERBLOCK),
    "q4_k": Storage(128, 20, SUPERBLOCK),
    "q5_k": Storage(160, 20, SUPERBLOCK),
    "q6_k": Storage(192, 20, SUPERBLOCK),
    "iq4_nl": Storage(16, 2),
    "iq4_xs": Storage(128, 12, SUPERBLOCK),
    "mxfp4": Storage(16, 1),
    "q4f16_1": Storage(16, 2),
    "q4f32_1": Storage(16, 2),
    "q3f16_1": Storage(12, 2, group=40),
    "affine4_32": Storage(16, 4),
    "affine4_64": Storage(16, 4, group=64),
    "affine4_128": Storage(16, 4, group=128),
    "affine8_32": Storage(32, 4),
    "affine8_128": Storage(32, 4, group=128),
    "fp8_32": Storage(32, 4),
    "fp8_128": Storage(32, 4, group=128),
}
# Formats that differ from another one in the file alone.
SAME: Mapping[str, str] = {
    "q4f16_0": "q4f16_1",
    "q4f32_0": "q4f32_1",
    "mxfp4_hf": "mxfp4",
}
# Formats that come in the largest group of STORAGE that divides the file's.
GROUPED: Mapping[str, str] = {
    "gptq4": "affine4",
    "gptq8": "affine8",
    "awq4": "affine4",
    "f8_e4m3": "fp8",
}
GROUP_SIZES = (128, 64, BLOCK)
# Small matrices that are never quantized.
KEPT = ("position_embd", "token_types", "ffn_gate_inp")
FLOATS = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class SlicePlan:
    """Rows of a matrix that will lie together, and the parts that have rows there."""

    format: str
    row0: int
    rows: int
    parts: tuple[Part, ...]

    def source_rows(self, part: Part) -> tuple[int, int]:
        """First and end of a part's own rows that go to this slice."""
        return tuple(  # type: ignore[return-value]
            min(part.rows, max(0, -(-(row - part.base) // part.stride)))
            for row in (self.row0, self.row0 + self.rows)
        )


def storage_format(matrix: Matrix, part: Part, quantize: Quantize | None) -> str:
    """The format that a part is kept in.

    ``quantize`` applies to float tensors: "q8" makes Q8_0 of them, "q4" makes Q4_0 of layers and
    Q8_0 of the embedding and output tables, whose errors reach every logit directly. Small tables
    of positions and token types stay as they are, and what chooses experts does. A mapping says
    it of each tensor; what no pattern fits stays as it is.
    """
    name = part.tensor.format.name
    if name.lower() in GROUPED:
        return grouped_format(part.tensor)
    if quantize is None or name not in FLOATS or matrix.name.rpartition(".")[2] in KEPT:
        return SAME.get(name.lower(), name.lower())
    if isinstance(quantize, Mapping):
        fitting = (kind for pattern, kind in quantize.items() if fits(part.tensor, pattern))
        kind = next(fitting, None)
        return f"{kind}_0" if kind else name.lower()
    layers_only = matrix.name in ("token_embd", "output")
    return "q8_0" if quantize == "q8" or layers_only else "q4_0"


def fits(tensor: TensorInfo, pattern: str) -> bool:
    """Whether a pattern of ``quantize`` means a tensor, by its name in the file."""
    return fnmatchcase(tensor.name, pattern)


def check_patterns(matrices: Iterable[Matrix], quantize: Quantize | None) -> None:
    """Raise ValueError for a pattern of ``quantize`` that fits none of the matrices' tensors."""
    if not isinstance(quantize, Mapping):
        return
    tensors = [part.tensor for matrix in matrices for part in matrix.parts]
    for pattern in quantize:
        if not any(fits(tensor, pattern) for tensor in tensors):
            raise ValueError(
                f"quantize: no matrix is called as {pattern!r} says. One is {tensors[-1].name!r}."
            )


def grouped_format(tensor: TensorInfo) -> str:
    """The format of a tensor whose companions hold scales of groups.

    Groups of the reader are whole, in rows and in the file's groups, or where a row is one group.
    """
    kind = GROUPED[tensor.format.name.lower()]
    groups = [companion.format.block_size for companion in tensor.companions.values()]
    shared = math.gcd(tensor.shape[1], *groups)
    size = next((n for n in GROUP_SIZES if shared % n == 0 and f"{kind}_{n}" in STORAGE), BLOCK)
    return f"{kind}_{size}"


def quantization_label(formats: Mapping[str, int], quantize: Quantize | None) -> str:
    """The format of most weights: "Q4_0", or "BF16 as q4" if they are quantized while loading.

    Args:
        formats: bytes by format, the most first.
    """
    stored = next(iter(formats))
    kinds = set(quantize.values()) if isinstance(quantize, Mapping) else {quantize}
    made = " and ".join(sorted(kind for kind in kinds if kind))
    return f"{stored} as {made}" if made and stored in FLOATS else stored


def slice_plans(
    matrix: Matrix, quantize: Quantize | None, binding_limit: int
) -> tuple[SlicePlan, ...]:
    """Cut a matrix where the format changes and where one binding would grow over the limit."""
    plans: list[SlicePlan] = []
    for group in groups_of_parts(matrix):
        fmt, *others = {storage_format(matrix, part, quantize) for part in group}
        if others:
            names = " and ".join(part.tensor.name for part in group)
            if quantize and all(part.tensor.format.name in FLOATS for part in group):
                raise ValueError(f"quantize: {names} are computed together; quantize them alike")
            raise UnsupportedModelError(
                f"{names} are computed together, and stored in different formats; take the model "
                "in another quantization"
            )
        if plans and plans[-1].format == fmt:
            last = plans.pop()
            group = (*last.parts, *group)
            start = last.row0
        else:
            start = min(part.base for part in group)
        end = start + sum(part.rows for part in group)
        plans.append(SlicePlan(fmt, start, end - start, group))
    columns = matrix.blocks * BLOCK
    return tuple(
        cut for plan in plans for cut in cut_to_limit(plan, columns, binding_limit, matrix.together)
    )


def groups_of_parts(matrix: Matrix) -> list[tuple[Part, ...]]:
    """Parts whose rows alternate, stored alike, belong together; others stand alone."""
    groups: list[tuple[Part, ...]] = []
    end = 0
    for part in sorted(matrix.parts, key=lambda part: part.base):
        if part.base < end:
            groups[-1] = (*groups[-1], part)
        else:
            groups.append((part,))
        end = max(end, part.base + part.stride * (part.rows - 1) + 1)
    return groups


def cut_to_limit(
    plan: SlicePlan, columns: int, binding_limit: int, together: int = 1
) -> list[SlicePlan]:
    """The same rows in slices whose largest buffer stays within the limit."""
    row_bytes = max(STORAGE[plan.format].sizes(4, columns).values()) // 4
    # Heads and quads of rows stay whole, so that epilogues and reordering work within a slice.
    unit = max(4, together)
    for part in plan.parts:
        unit = max(unit, part.head_dim, part.stride)
    most = binding_limit // row_bytes // unit * unit
    if most >= plan.rows:
        return [plan]
    if not most:
        raise DeviceLimitError(
            f"{unit} rows of {plan.parts[0].tensor.name} need {unit * row_bytes >> 10} KiB, but "
            f"the device binds at most {binding_limit >> 10} KiB at once"
        )
    return [
        SlicePlan(plan.format, plan.row0 + at, min(most, plan.rows - at), plan.parts)
        for at in range(0, plan.rows, most)
    ]
