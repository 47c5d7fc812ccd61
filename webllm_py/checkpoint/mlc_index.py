"""The weight index of MLC folders: which shard holds which tensor where.

Format: {"records": [{dataPath, nbytes, md5sum, records: [{name, shape, dtype, format, nbytes,
byteOffset}]}]}, as TVM's ``tvmjs.dump_tensor_cache`` writes it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from webllm_py.checkpoint.checkpoint import FORMATS, TensorFormat
from webllm_py.checkpoint.json_text import parse_object
from webllm_py.errors import CorruptCheckpointError, UnsupportedModelError

__all__ = ["WORDS", "Record", "Shard", "read_index"]

MAX_SIZE = 2**53
SHORTENED = "f32-to-bf16"  # on every record; means something for float32 alone
WORDS = TensorFormat("U32", 1, 4)  # codes, packed
DTYPES: Mapping[str, TensorFormat] = {
    "float32": FORMATS["F32"],
    "float16": FORMATS["F16"],
    "bfloat16": FORMATS["BF16"],
    "uint32": WORDS,
}


@dataclass(frozen=True)
class Record:
    """A tensor's bytes within its shard."""

    name: str
    shape: tuple[int, ...]
    format: TensorFormat
    offset: int
    nbytes: int


@dataclass(frozen=True)
class Shard:
    """A file of weights; ``md5`` is None where the index does not tell."""

    filename: str
    nbytes: int
    md5: str | None
    records: tuple[Record, ...]


def read_index(data: bytes, name: str) -> list[Shard]:
    """The shards of an index, whose tensors lie within them, apart from each other.

    Raises:
        CorruptCheckpointError: not an index, or one that contradicts itself.
        UnsupportedModelError: a dtype that this version does not run.
    """
    entries = parse_object(data, name).get("records")
    if not isinstance(entries, list) or not entries:
        raise CorruptCheckpointError(f"{name} has no records that name the model's shards.")
    shards = [_shard(entry, name) for entry in entries]
    _refuse_dtypes(shards, name)
    for what, names in (
        ("shard", [shard.filename for shard in shards]),
        ("tensor", [record.name for shard in shards for record in shard.records]),
    ):
        if twice := [n for n, count in Counter(names).items() if count > 1]:
            raise CorruptCheckpointError(f"{name} has the {what} {twice[0]!r} twice.")
    return shards


def _shard(entry: Any, name: str) -> Shard:
    match entry:
        case {"dataPath": str(path), "nbytes": int(nbytes), "records": list(records)}:
            pass
        case _:
            raise CorruptCheckpointError(
                f"{name}: {str(entry)[:80]} is no shard with dataPath, nbytes and records."
            )
    if not re.fullmatch(r"[\w.+-]+", path) or path.startswith("."):
        raise CorruptCheckpointError(f"{name} names the shard {path!r}: not a file beside it.")
    md5 = entry.get("md5sum")
    if md5 is not None and not (isinstance(md5, str) and re.fullmatch("[0-9a-fA-F]{32}", md5)):
        raise CorruptCheckpointError(f"{name}: the md5sum of {path} is {str(md5)[:80]!r}.")
    made = tuple(_record(record, f"{name}: {path}") for record in records)
    _check_layout(made, nbytes, f"{name}: {path}")
    return Shard(path, nbytes, md5, made)


def _record(entry: Any, where: str) -> Record:
    match entry:
        case {
            "name": str(name),
            "shape": list(shape),
            "dtype": str(dtype),
            "nbytes": int(nbytes),
            "byteOffset": int(offset),
        } if all(type(size) is int and 0 < size < MAX_SIZE for size in (*shape, nbytes)):
            pass
        case _:
            raise CorruptCheckpointError(
                f"{where}: {str(entry)[:80]} is no tensor with name, shape, dtype, nbytes and "
                "byteOffset."
            )
    format = DTYPES.get(dtype, TensorFormat(dtype, 1, 0))
    if dtype == "float32" and entry.get("format") == SHORTENED:
        format = FORMATS["BF16"]
    needed = format.nbytes(math.prod(shape))
    if needed and needed != nbytes:
        raise CorruptCheckpointError(
            f"{where}: the tensor {name!r} has {nbytes} bytes, but its shape {shape} of "
            f"{format.name} needs {needed}."
        )
    return Record(name, tuple(shape), format, offset, nbytes)


def _refuse_dtypes(shards: list[Shard], name: str) -> None:
    bad = Counter(record.format.name for record in _records(shards) if not record.format.nbytes(1))
    if bad:
        listed = ", ".join(f"{dtype[:40]} ({count} tensors)" for dtype, count in bad.items())
        raise UnsupportedModelError(
            f"{name} has tensors of types that this version does not run: {listed}. Take the "
            "model as q4f16_1, q4f32_1, q0f16 or q0f32."
        )


def _records(shards: list[Shard]) -> Iterator[Record]:
    for shard in shards:
        yield from shard.records


def _check_layout(records: tuple[Record, ...], nbytes: int, where: str) -> None:
    end, before = 0, "its beginning"
    for record in sorted(records, key=lambda record: record.offset):
        if record.offset < end:
            raise CorruptCheckpointError(
                f"{where}: the tensor {record.name!r} overlaps {before}: it begins at byte "
                f"{record.offset}, before byte {end}."
            )
        end, before = record.offset + record.nbytes, f"the tensor {record.name!r}"
    if end > nbytes:
        raise CorruptCheckpointError(
            f"{where}: the shard has {nbytes} bytes, but {before} reaches to byte {end}."
        )
