"""GGUF files as checkpoints: what headers claim, checked against the files and the format."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from webllm_py.checkpoint.checkpoint import FORMATS, Checkpoint, TensorInfo
from webllm_py.checkpoint.gguf_format import DEFAULT_ALIGNMENT, TENSOR_TYPES
from webllm_py.checkpoint.gguf_parts import GGUFPart, Opener, all_parts, close_others
from webllm_py.checkpoint.gguf_reader import TensorRecord, read_header
from webllm_py.errors import (
    AdapterError,
    CorruptCheckpointError,
    NotAModelError,
    UnsupportedModelError,
)
from webllm_py.fetch.source import ByteSource, base_name

__all__ = ["PROJECTOR", "open_gguf"]

MODEL, PROJECTOR = "model", "mmproj"
OTHER_KINDS = {
    "adapter": " An adapter goes to engine.load_adapter.",
    PROJECTOR: " This one goes beside it: load(..., vision=...).",
}

TEMPLATE_KEY = "tokenizer.chat_template"
MAX_ELEMENTS = 2**63 - 1  # of a tensor: ggml counts them in a signed 64-bit integer


async def open_gguf(
    source: ByteSource, head: bytes, open_beside: Opener, *, kind: str = MODEL
) -> Checkpoint:
    """Read and check a GGUF file's header, and those of the other parts of a split model.

    Args:
        source: the file, or any part; the checkpoint owns it afterwards.
        head: the first bytes of the file, which the caller has already.
        open_beside: opens the other parts by name.
        kind: what general.type has to say: "model", "adapter" or "mmproj".

    Raises:
        CorruptCheckpointError: truncated, damaged or self-contradicting.
        MissingFileError: a part is not there.
        UnsupportedModelError: a version, kind or tensor format that this version does not run.
        SourceError: the bytes cannot be had.
    """
    parts = await all_parts(GGUFPart(source, await read_header(source, head)), open_beside)
    try:
        return await _checkpoint(parts, kind)
    except BaseException:
        await close_others(parts, source)
        raise


async def _checkpoint(parts: Sequence[GGUFPart], kind: str) -> Checkpoint:
    """What the headers say, checked."""
    name, metadata = parts[0].source.name, parts[0].header.metadata
    architecture = _text(name, metadata, "general.architecture")
    if architecture is None:
        raise CorruptCheckpointError(
            f"{name} has no key general.architecture: it does not say which model it is."
        )
    _refuse_other_kinds(name, metadata, kind)
    _refuse_formats(name, [record for part in parts for record in part.header.tensors])
    tensors: dict[str, TensorInfo] = {}
    for part in parts:
        located = _locate(part, await part.source.size())
        if twice := tensors.keys() & located.keys():
            raise CorruptCheckpointError(
                f"{part.source.name} has the tensor {min(twice)!r}, which another part has as well."
            )
        tensors |= located
    templates = {
        key.removeprefix(TEMPLATE_KEY).removeprefix("."): _text(name, metadata, key) or ""
        for key in metadata
        if key == TEMPLATE_KEY or key.startswith(TEMPLATE_KEY + ".")
    }
    default = templates.pop("", None)
    return Checkpoint(
        kind="gguf",
        name=_text(name, metadata, "general.name") or base_name(name).removesuffix(".gguf"),
        architecture=architecture,
        metadata=metadata,
        tensors=tensors,
        chat_template=default,
        named_templates=templates,
        sources=tuple(part.source for part in parts),
    )


def _text(name: str, metadata: Mapping[str, Any], key: str) -> str | None:
    value = metadata.get(key)
    if value is None or isinstance(value, str):
        return value
    raise CorruptCheckpointError(f"{name}: the key {key} is {type(value).__name__}, not a text.")


def _refuse_other_kinds(name: str, metadata: Mapping[str, Any], wanted: str) -> None:
    kind = metadata.get("general.type", MODEL)
    if kind == wanted or (wanted == PROJECTOR and kind == MODEL):  # as older ones say
        return
    if wanted == "adapter":
        raise AdapterError(f"{name} is a GGUF file of type {kind!r}, not an adapter.")
    raise NotAModelError(
        f"{name} is a GGUF file of type {kind!r}, not a model. Give the model's own file."
        + OTHER_KINDS.get(kind, "")
    )


def _refuse_formats(name: str, tensors: list[TensorRecord]) -> None:
    counts = Counter(TENSOR_TYPES.get(t.type, f"type {t.type} (unknown)") for t in tensors)
    bad = {format: count for format, count in counts.items() if format not in FORMATS}
    if bad:
        listed = ", ".join(f"{format} ({count} tensors)" for format, count in bad.items())
        raise UnsupportedModelError(
            f"{name} has tensors in formats that this version does not run: {listed}. It "
            f"runs {', '.join(FORMATS)}: take the model's Q4_K_M or Q8_0 file."
        )


def _locate(part: GGUFPart, size: int | None) -> dict[str, TensorInfo]:
    """Where each tensor lies in the file, checked: inside it, aligned, apart from each other."""
    source, header = part.source, part.header
    alignment = _alignment(source.name, header.metadata)
    start = -(-header.end // alignment) * alignment
    tensors: dict[str, TensorInfo] = {}
    for record in header.tensors:
        if record.name in tensors:
            raise CorruptCheckpointError(f"{source.name} has the tensor {record.name!r} twice.")
        if record.offset % alignment:
            raise CorruptCheckpointError(
                f"{source.name}: tensor {record.name!r} lies at offset {record.offset}, which is "
                f"not a multiple of {alignment}."
            )
        tensors[record.name] = _tensor(source, record, start)
    end, before = start, "the header"
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.offset):
        if tensor.offset < end:
            raise CorruptCheckpointError(
                f"{source.name}: tensor {tensor.name!r} overlaps {before}: it begins at byte "
                f"{tensor.offset}, before byte {end}."
            )
        end, before = tensor.offset + tensor.nbytes, f"tensor {tensor.name!r}"
    if size is not None and end > size and tensors:
        raise CorruptCheckpointError(
            f"{source.name} is incomplete: it ends at byte {size}, but {before} reaches to byte "
            f"{end} ({end - size} bytes are missing). Download it again."
        )
    return tensors


def _alignment(name: str, metadata: Mapping[str, Any]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 8 or alignment % 8:
        raise CorruptCheckpointError(
            f"{name}: general.alignment is {alignment!r}; a multiple of 8 is needed."
        )
    return alignment


def _tensor(source: ByteSource, record: TensorRecord, start: int) -> TensorInfo:
    problem = None
    format = FORMATS[TENSOR_TYPES[record.type]]
    elements = math.prod(record.dimensions)
    if elements == 0:
        problem = "a dimension of 0"
    elif elements > MAX_ELEMENTS:
        problem = "more elements than 2^63"
    elif record.dimensions[0] % format.block_size:
        problem = f"rows that are not whole blocks of {format.block_size} ({format.name})"
    if problem is not None:
        raise CorruptCheckpointError(
            f"{source.name}: tensor {record.name!r} of dimensions {list(record.dimensions)} has "
            f"{problem}."
        )
    return TensorInfo(
        name=record.name,
        shape=record.dimensions[::-1],
        format=format,
        source=source,
        offset=start + record.offset,
        nbytes=format.nbytes(elements),
    )
