"""Headers of safetensors files, and the index of a model that is split over several.

Format: an 8-byte little-endian length, so many bytes of JSON ({name: {dtype, shape,
data_offsets}}), then the tensors' bytes, without gaps (https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from webllm_py.checkpoint.checkpoint import FLOAT8, FORMATS, WORDS, TensorFormat, TensorInfo
from webllm_py.checkpoint.json_text import parse_object
from webllm_py.checkpoint.mxfp4 import BYTE, CODES, SCALES
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError
from webllm_py.fetch.source import ByteSource

__all__ = ["MAX_HEADER_BYTES", "read_index", "read_safetensors"]

# The format allows 100 MB; the largest models have less than 1 MB a file, and Python's objects need
# ten times the JSON.
MAX_HEADER_BYTES = 8 << 20
MAX_ELEMENTS = 2**63 - 1
LENGTH_BYTES = 8

DTYPES: Mapping[str, TensorFormat] = {name: FORMATS[name] for name in ("F32", "F16", "BF16")}
# By the ends of their names, what else tensors may be: constants that no model reads (BERT's 0, 1,
# 2, ..., the masks of older models' attention), and what checkpoint/mxfp4.py and quantized.py put
# together.
OTHERS: Mapping[tuple[str, ...], Mapping[str, TensorFormat]] = {
    ("position_ids", "token_type_ids"): {"I64": TensorFormat("I64", 1, 8)},
    (".attention.bias", ".attn.bias"): {"BOOL": TensorFormat("BOOL", 1, 1), "U8": BYTE},
    (CODES, SCALES): {"U8": BYTE},
    (".qweight", ".qzeros", ".g_idx"): {"I32": WORDS},
    (".weight",): {"F8_E4M3": FLOAT8},
}


async def read_safetensors(source: ByteSource) -> dict[str, TensorInfo]:
    """The tensors of one safetensors file.

    Raises:
        CorruptCheckpointError: truncated, damaged or self-contradicting.
        UnsupportedModelError: a dtype that this version does not run.
        SourceError: the bytes cannot be had.
    """
    size = await source.size()
    if size is not None and size < LENGTH_BYTES:
        raise CorruptCheckpointError(f"{source.name} is incomplete: it has only {size} bytes.")
    length = int.from_bytes(await source.read(0, LENGTH_BYTES), "little")
    start = LENGTH_BYTES + length
    if length > MAX_HEADER_BYTES:
        raise CorruptCheckpointError(
            f"{source.name} claims a header of {length} bytes: it is damaged, or no "
            "safetensors file."
        )
    if size is not None and start > size:
        raise CorruptCheckpointError(
            f"{source.name} ends at byte {size}, inside its header of {length} bytes: it is "
            "incomplete. Download it again."
        )
    text = await source.read(LENGTH_BYTES, length)
    entries = parse_object(text, f"The header of {source.name}")
    if not isinstance(entries.pop("__metadata__", {}), dict):  # free texts: nothing to load
        raise CorruptCheckpointError(f"The __metadata__ of {source.name} is no JSON object.")
    _refuse_dtypes(source.name, entries)
    tensors = {name: _tensor(source, name, entry, start) for name, entry in entries.items()}
    _check_layout(source.name, tensors, start, size)
    return tensors


def read_index(data: bytes, name: str) -> dict[str, str]:
    """The file that holds each tensor, from model.safetensors.index.json.

    Raises:
        CorruptCheckpointError: not an index, or one that names files outside its folder.
    """
    files = parse_object(data, name).get("weight_map")
    if not isinstance(files, dict) or not files:
        raise CorruptCheckpointError(f"{name} has no weight_map that names the model's files.")
    for tensor, file in files.items():
        plain = (
            isinstance(file, str) and file.endswith(".safetensors") and not set(file) & set("/\\")
        )
        if not plain:
            raise CorruptCheckpointError(
                f"{name} names {file!r} for {tensor!r}: not a .safetensors file beside it."
            )
    return files


def _refuse_dtypes(name: str, entries: Mapping[str, Any]) -> None:
    bad = Counter(
        str(entry["dtype"])
        for tensor, entry in entries.items()
        if isinstance(entry, dict)
        and "dtype" in entry
        and str(entry["dtype"]) not in _dtypes_of(tensor)
    )
    if bad:
        listed = ", ".join(f"{dtype[:40]} ({count} tensors)" for dtype, count in bad.items())
        raise UnsupportedModelError(
            f"{name} has tensors of types that this version does not run: {listed}. Take the model "
            "in F32, F16 or BF16 (not a quantized conversion of it), or a GGUF file of it."
        )


def _dtypes_of(tensor: str) -> Mapping[str, TensorFormat]:
    """What a tensor of that name may be stored as."""
    found = dict(DTYPES)
    for ends, dtypes in OTHERS.items():
        if tensor.endswith(ends):
            found |= dtypes
    return found


def _tensor(source: ByteSource, name: str, entry: Any, start: int) -> TensorInfo:
    def corrupt(problem: str) -> CorruptCheckpointError:
        return CorruptCheckpointError(f"{source.name}: tensor {name!r} has {problem}.")

    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise corrupt("no dtype, shape and data_offsets")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _are_sizes(shape):
        raise corrupt(f"the shape {str(shape)[:80]}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise corrupt(f"the data_offsets {str(offsets)[:80]}")
    format = _dtypes_of(name)[entry["dtype"]]
    elements = math.prod(shape)
    if elements > MAX_ELEMENTS:
        raise corrupt(f"the shape {shape}: more than 2^63 elements")
    begin, end = offsets
    if end - begin != format.nbytes(elements):
        raise corrupt(
            f"{end - begin} bytes, but its shape {shape} of {format.name} needs "
            f"{format.nbytes(elements)}"
        )
    return TensorInfo(name, tuple(shape), format, source, start + begin, end - begin)


def _are_sizes(values: Any) -> bool:
    # type() and not isinstance: JSON's true is an int to Python.
    return (
        isinstance(values, list)
        and len(values) <= 8
        and all(type(value) is int and 0 <= value <= MAX_ELEMENTS for value in values)
    )


def _check_layout(
    name: str, tensors: Mapping[str, TensorInfo], start: int, size: int | None
) -> None:
    """The tensors must fill the rest of the file, without gap or overlap."""
    end, before = start, "the header"
    for tensor in sorted(tensors.values(), key=lambda t: (t.offset, t.nbytes)):
        if tensor.offset != end:
            what = "overlaps" if tensor.offset < end else "leaves a gap after"
            raise CorruptCheckpointError(
                f"{name}: tensor {tensor.name!r} {what} {before}: it begins at byte "
                f"{tensor.offset}, not at {end}."
            )
        end, before = tensor.offset + tensor.nbytes, f"tensor {tensor.name!r}"
    if size is not None and end > size:
        raise CorruptCheckpointError(
            f"{name} is incomplete: it ends at byte {size}, but {before} reaches to byte {end} "
            f"({end - size} bytes are missing). Download it again."
        )
    if size is not None and end < size:
        raise CorruptCheckpointError(
            f"{name} has {size - end} bytes behind its last tensor: it is damaged."
        )
