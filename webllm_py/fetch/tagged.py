"""A repository's GGUF file by its quantization, as in ``hf:org/name:Q4_K_M``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from webllm_py.errors import MissingFileError
from webllm_py.fetch.source import ByteSource, Folder, base_name

__all__ = ["TaggedFolder", "has_tag"]

PROJECTOR = "mmproj"
"""In the names of files that belong to a model of any quantization."""


class TaggedFolder:
    """A folder of which only the GGUF files of one quantization are seen, and all other files.

    Args:
        folder: all of it.
        tag: the quantization, in letters of any case.
    """

    def __init__(self, folder: Folder, tag: str):
        self.name = f"{folder.name} ({tag})"
        self._folder = folder
        self._tag = tag

    async def open(self, filename: str) -> ByteSource:
        """The file of that name, as any folder's."""
        return await self._folder.open(filename)

    async def exists(self, filename: str) -> bool:
        """Whether the file is there, in the whole folder."""
        return await self._folder.exists(filename)

    async def list(self) -> list[str]:
        """The names of files that are seen, sorted.

        Raises:
            MissingFileError: no GGUF file has the tag, or the folder cannot be listed.
        """
        names = await self._folder.list()
        if names is None:
            raise MissingFileError(
                f"what {self._folder.name} holds cannot be listed; give the file's name instead of "
                f"{self._tag!r}"
            )
        ggufs = [name for name in names if name.lower().endswith(".gguf")]
        tagged = [name for name in ggufs if has_tag([name], self._tag)]
        if not tagged:
            found = ", ".join(ggufs) or "none"
            raise MissingFileError(
                f"{self._folder.name} has no .gguf file of {self._tag!r}; it has: {found}"
            )
        hidden = {n for n in ggufs if n not in tagged and PROJECTOR not in base_name(n).lower()}
        return [name for name in names if name not in hidden]


def has_tag(names: Iterable[str], tag: str) -> bool:
    """Whether one of these files is a model's GGUF file of a quantization; one of ``Q4_K_M`` is
    none of ``Q4_K``."""
    tagged = re.compile(rf"(?<![a-z0-9_]){re.escape(tag.lower())}(?![a-z0-9_])")
    models = (base_name(name).lower() for name in names)
    return any(
        name.endswith(".gguf") and PROJECTOR not in name and tagged.search(name) for name in models
    )
