"""GGUF models split into several files, NAME-00001-of-00003.gguf and so on.

The first part has the metadata, each has tensors of its own, and keys that say which part it is
(llama.cpp's tools/gguf-split).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from webllm_py.checkpoint.gguf_reader import GGUFHeader, read_header
from webllm_py.errors import CorruptCheckpointError, MissingFileError, UnsupportedModelError
from webllm_py.fetch.source import ByteSource, base_name, closed_on_error

__all__ = ["GGUFPart", "Opener", "all_parts", "close_others", "is_later_part"]

PART_NAME = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)

Opener: TypeAlias = Callable[[str], Awaitable[ByteSource]]
"""Opens a file by its name, or raises MissingFileError."""


@dataclass(frozen=True)
class GGUFPart:
    """One file of a model, and what its header says."""

    source: ByteSource
    header: GGUFHeader

    def number(self, key: str, default: int) -> int:
        """A whole number of the header's keys ``split.*``."""
        value = self.header.metadata.get(f"split.{key}", default)
        if isinstance(value, int) and value >= 0:
            return value
        raise CorruptCheckpointError(f"{self.source.name}: the key split.{key} is {value!r}.")


def is_later_part(filename: str) -> bool:
    """Whether a file is named as a part that is not the first."""
    match = PART_NAME.search(filename)
    return match is not None and int(match[1]) > 1


async def all_parts(part: GGUFPart, open_beside: Opener) -> list[GGUFPart]:
    """The model's parts in order: the given one and those beside it; most often it is the only one.

    Raises:
        CorruptCheckpointError: parts that do not belong together.
        MissingFileError: a part is not there.
        UnsupportedModelError: files that are not named as parts are.
    """
    count, own = part.number("count", 1), part.number("no", 0)
    if count <= 1:
        return [part]
    name = base_name(part.source.name)
    match = PART_NAME.search(name)
    if match is None or (int(match[1]), int(match[2])) != (own + 1, count):
        raise UnsupportedModelError(
            f"{part.source.name} is part {own + 1} of a model split into {count} files, but is not "
            f"named as such: its name must end in -{own + 1:05}-of-{count:05}.gguf, so that the "
            "others can be found. Or merge them with llama.cpp's llama-gguf-split --merge."
        )
    parts: list[GGUFPart] = []
    try:
        for i in range(count):
            filename = f"{name[: match.start()]}-{i + 1:05}-of-{count:05}.gguf"
            parts.append(part if i == own else await _open(part, filename, open_beside))
            if (parts[i].number("count", 1), parts[i].number("no", 0)) != (count, i):
                raise CorruptCheckpointError(
                    f"{parts[i].source.name} is named part {i + 1} of {count}, but is not: its "
                    "header says otherwise."
                )
        tensors = sum(len(each.header.tensors) for each in parts)
        if (expected := parts[0].number("tensors.count", tensors)) != tensors:
            raise CorruptCheckpointError(
                f"{parts[0].source.name} and its {count - 1} other parts have {tensors} tensors; "
                f"{expected} are expected. Do they belong together?"
            )
    except BaseException:
        await close_others(parts, part.source)
        raise
    return parts


async def _open(part: GGUFPart, filename: str, open_beside: Opener) -> GGUFPart:
    try:
        source = await open_beside(filename)
    except MissingFileError as error:
        raise MissingFileError(
            f"{part.source.name} is one of {part.number('count', 1)} parts of a model, and "
            f"{filename} is not beside it: {error}"
        ) from error
    async with closed_on_error(source):
        header = await read_header(source)
        await source.pause()
    return GGUFPart(source, header)


async def close_others(parts: Sequence[GGUFPart], source: ByteSource) -> None:
    """Close every part's file but one."""
    for part in parts:
        if part.source is not source:
            await part.source.close()
