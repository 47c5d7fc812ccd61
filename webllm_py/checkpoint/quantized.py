"""Quantized matrices of Hugging Face folders: what config.json says of them, and which tensors they
are made of.

GPTQ (arXiv 2210.17323) and AWQ (arXiv 2306.00978) as AutoGPTQ, GPTQModel and AutoAWQ save them: of
a matrix X (rows, columns), X.qweight has int32 words of codes, transposed; X.scales (groups, rows)
and X.qzeros (groups, words) belong to groups of a row's columns. A code stands for
``(code - zero) * scale``. 8-bit floats (E4M3) have X.weight, and X.weight_scale for the matrix or
for each row, or X.weight_scale_inv for tiles of it: what a float is multiplied with in any case.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from webllm_py.checkpoint import mxfp4
from webllm_py.checkpoint.checkpoint import FLOAT8, WORDS, TensorFormat, TensorInfo
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError

__all__ = ["Quantization", "joined", "quantization_of"]

CODES = ".qweight"
# Of orders that are trivial where they are run, and of activations, which stay floats.
UNUSED = (".g_idx", ".input_scale", ".activation_scale", ".k_scale", ".v_scale")
SCALES = (".weight_scale", ".weight_scale_inv")
SCALE_FORMATS = ("F32", "BF16", "F16")
BLOCK = 32


@dataclass(frozen=True)
class Quantization:
    """What ``quantization_config`` of config.json stands for.

    Attributes:
        codes: of matrices of integers: "GPTQ4", "GPTQ8" or "AWQ4"; "MXFP4"; None for 8-bit floats.
        bits: of a code.
        group: columns that share a scale and a zero; 0 for all of a row.
        zeros: how zeros are stored: "GPTQ" (less 1), "GPTQ_V2" or "AWQ".
        tile: rows and columns that share a scale of 8-bit floats, if they come in tiles.
    """

    codes: str | None = None
    bits: int = 8
    group: int = 0
    zeros: str = ""
    tile: tuple[int, int] | None = None


MXFP4 = Quantization("MXFP4", 4)


def quantization_of(config: Mapping[str, Any], name: str) -> Quantization | None:
    """What the weights were quantized to; None for floats.

    Raises:
        UnsupportedModelError: a quantization that this version does not run.
    """
    said = config.get("quantization_config")
    if not isinstance(said, dict):
        return None
    method = said.get("quant_method", "an unnamed method")
    if method == mxfp4.METHOD:
        return MXFP4
    readers = {
        "gptq": _gptq,
        "awq": _awq,
        "fp8": _fp8,
        "compressed-tensors": _compressed_tensors,
    }
    reader = readers.get(method) if isinstance(method, str) else None
    made = reader(said) if reader else ""
    if isinstance(made, Quantization):
        return made
    detail = f" with {made}" if made else ""
    raise UnsupportedModelError(
        f"{name} is quantized by {method!r}{detail}, which this version does not run. Take the "
        'original model (it can be quantized while it is loaded: quantize="q4"), or a GGUF file of '
        "it."
    )


def _gptq(said: Mapping[str, Any]) -> Quantization | str:
    """The quantization, or what of it is not run."""
    bits, group = said.get("bits"), _group(said.get("group_size"))
    layout = said.get("checkpoint_format", "gptq")
    if bits not in (4, 8):
        return f"bits = {bits!r}"
    if group is None:
        return f"group_size = {said.get('group_size')!r}"
    if said.get("desc_act") and group:  # columns in an order of their own
        return "desc_act = true"
    if layout not in ("gptq", "gptq_v2") or said.get("is_marlin_format"):
        return f"checkpoint_format = {'marlin' if said.get('is_marlin_format') else layout!r}"
    return Quantization(f"GPTQ{bits}", bits, group, layout.upper())


def _awq(said: Mapping[str, Any]) -> Quantization | str:
    bits = said.get("bits", said.get("w_bit"))
    size = said.get("group_size", said.get("q_group_size"))
    group = _group(size)
    version = said.get("version", "gemm")
    if bits != 4:
        return f"bits = {bits!r}"
    if group is None:
        return f"group_size = {size!r}"
    if str(version).lower() != "gemm":
        return f"version = {version!r}"
    if not said.get("zero_point", True):
        return "zero_point = false"
    return Quantization("AWQ4", bits, group, "AWQ")


def _group(size: Any) -> int | None:
    """Columns that share a scale, 0 for all of a row; None for a size that is not run."""
    if size == -1:
        return 0
    return size if type(size) is int and size > 0 and size % BLOCK == 0 else None


def _fp8(said: Mapping[str, Any]) -> Quantization | str:
    fmt, tile = said.get("fmt", "e4m3"), said.get("weight_block_size")
    if fmt != "e4m3":
        return f"fmt = {fmt!r}"
    return Quantization(tile=_tile(tile)) if _is_tile(tile) else f"weight_block_size = {tile!r}"


def _compressed_tensors(said: Mapping[str, Any]) -> Quantization | str:
    layout, groups = said.get("format"), said.get("config_groups")
    if layout not in ("float-quantized", "naive-quantized") or not isinstance(groups, dict):
        return f"format = {layout!r}"
    found = set()
    for group in groups.values():
        weights = group.get("weights") if isinstance(group, dict) else None
        weights = weights if isinstance(weights, dict) else {}
        kind, bits = weights.get("type"), weights.get("num_bits")
        strategy, tile = weights.get("strategy"), weights.get("block_structure")
        if (kind, bits) != ("float", 8):
            return f"weights of type {kind!r} and {bits!r} bits"
        if strategy not in ("tensor", "channel", "block") or not _is_tile(tile):
            return f"weights' strategy = {strategy!r}"
        found.add(_tile(tile) if strategy == "block" else None)
    return Quantization(tile=found.pop()) if len(found) == 1 else "several kinds of weights"


def _is_tile(tile: Any) -> bool:
    """Whole blocks of columns."""
    sizes = isinstance(tile, list) and len(tile) == 2 and all(type(n) is int for n in tile)
    return tile is None or (sizes and tile[0] > 0 and tile[1] > 0 and tile[1] % BLOCK == 0)


def _tile(tile: list[int] | None) -> tuple[int, int] | None:
    return (tile[0], tile[1]) if tile else None


def joined(
    tensors: Mapping[str, TensorInfo], quantization: Quantization | None, name: str
) -> dict[str, TensorInfo]:
    """The tensors, quantized ones under the name of the matrix that they make, X.weight.

    Raises:
        CorruptCheckpointError: tensors of a matrix are missing, or do not belong together.
        UnsupportedModelError: scales or sizes that this version does not run.
    """
    if quantization is MXFP4:
        return mxfp4.joined(tensors)
    found: dict[str, TensorInfo] = {}
    used: set[str] = set()
    for key, tensor in tensors.items():
        if tensor.format is WORDS and key.endswith(CODES):
            stem = key.removesuffix(CODES)
            if quantization is None or quantization.codes is None:
                raise CorruptCheckpointError(
                    f"{name}: {key} holds codes of GPTQ or AWQ, but the quantization_config of its "
                    "config.json does not say so."
                )
            scales, zeros = (_beside(tensors, key, stem + end) for end in (".scales", ".qzeros"))
            found[f"{stem}.weight"] = _integers(tensor, scales, zeros, quantization)
            used |= {key, scales.name, zeros.name}
        elif tensor.format is FLOAT8:
            stem = key.removesuffix(".weight")
            end = next((end for end in SCALES if stem + end in tensors), SCALES[0])
            scales = _beside(tensors, key, stem + end)
            found[key] = _floats(tensor, scales, quantization)
            used |= {key, scales.name}
    left = {key: t for key, t in tensors.items() if key not in used and not key.endswith(UNUSED)}
    return {**left, **found}


def _beside(tensors: Mapping[str, TensorInfo], codes: str, name: str) -> TensorInfo:
    tensor = tensors.get(name)
    if tensor is None:
        raise CorruptCheckpointError(
            f"The tensor {codes} is quantized, but {name}, which belongs to it, is missing."
        )
    return tensor


def _integers(
    codes: TensorInfo, scales: TensorInfo, zeros: TensorInfo, quantization: Quantization
) -> TensorInfo:
    """A matrix of codes, scales and zeros, all of them transposed."""
    a_word = 32 // quantization.bits
    if len(codes.shape) != 2:
        raise _apart(codes, scales)
    if quantization.codes == "AWQ4":  # a word holds codes of several rows
        columns, rows = codes.shape[0], codes.shape[1] * a_word
    else:
        columns, rows = codes.shape[0] * a_word, codes.shape[1]
    group = quantization.group or columns
    if not rows or not columns or rows % a_word or columns % BLOCK or columns % group:
        raise UnsupportedModelError(
            f"{codes.name} has {rows} rows and {columns} columns in groups of {group}: this "
            f"version runs whole groups, and rows by {a_word}."
        )
    groups = columns // group
    if scales.shape != (groups, rows):
        raise _apart(codes, scales)
    if zeros.shape != (groups, rows // a_word) or zeros.format is not WORDS:
        raise _apart(codes, zeros)
    if scales.format.name != "F16":
        raise UnsupportedModelError(
            f"{scales.name} is stored as {scales.format.name}; this version runs scales in F16."
        )
    shape = (rows, columns)
    kept = TensorFormat(f"{quantization.zeros}_ZEROS", group, 4, by_columns=True, block_rows=a_word)
    each = TensorFormat("F16", group, 2, by_columns=True)
    return replace(
        codes,
        shape=shape,
        format=TensorFormat(
            quantization.codes or "", BLOCK, 4 * quantization.bits, by_columns=True
        ),
        companions={
            "scales": replace(scales, shape=shape, format=each),
            "zeros": replace(zeros, shape=shape, format=kept),
        },
    )


def _floats(
    weight: TensorInfo, scales: TensorInfo, quantization: Quantization | None
) -> TensorInfo:
    """A matrix of 8-bit floats and its scales."""
    if len(weight.shape) != 2 or not math.prod(weight.shape):
        raise _apart(weight, scales)
    if scales.format.name not in SCALE_FORMATS:
        raise UnsupportedModelError(
            f"{scales.name} is stored as {scales.format.name}; this version runs scales in "
            f"{', '.join(SCALE_FORMATS)}."
        )
    rows, columns = weight.shape
    tile = quantization.tile if quantization else None
    if math.prod(scales.shape) == 1:
        tile = (rows, columns)
    elif scales.shape in ((rows,), (rows, 1)) and tile is None:
        tile = (1, columns)
    elif tile is None or scales.shape != (-(-rows // tile[0]), -(-columns // tile[1])):
        raise _apart(weight, scales)
    size = scales.format.block_bytes
    each = TensorFormat(scales.format.name, tile[1], size, block_rows=tile[0])
    return replace(
        weight, companions={"tiles": replace(scales, shape=(rows, columns), format=each)}
    )


def _apart(codes: TensorInfo, other: TensorInfo) -> CorruptCheckpointError:
    return CorruptCheckpointError(
        f"{codes.name} of shape {list(codes.shape)} and {other.name} of shape {list(other.shape)} "
        "do not belong together by the quantization_config of config.json."
    )
