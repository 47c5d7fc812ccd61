"""A repository's GGUF file by its quantization, as in ``hf:org/name:Q4_K_M``."""

from __future__ import annotations

import re

from webllm_py.errors import MissingFileError
from webllm_py.fetch.source import ByteSource, Folder, base_name

__all__ = ["TaggedFolder", "has_tag", "is_projector"]


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
            SourceError: nothing of the folder can be had.
        """
        names = await self._folder.list()
        if names is None:
            await self.exists("config.json")  # no network, no access: that is the reason then
            raise MissingFileError(
                f"what {self._folder.name} holds cannot be listed; give the file's name instead of "
                f"{self._tag!r}"
            )
        ggufs = [name for name in names if name.lower().endswith(".gguf")]
        others = [name for name in ggufs if not has_tag(name, self._tag)]
        if len(others) == len(ggufs):
            found = ", ".join(ggufs) or "none"
            raise MissingFileError(
                f"{self._folder.name} has no .gguf file of {self._tag!r}; it has: {found}"
            )
        return [name for name in names if name not in others or is_projector(name)]


def is_projector(filename: str) -> bool:
    """Whether a GGUF file's name says that it is llama.cpp's projector, of a model of any
    quantization."""
    return "mmproj" in base_name(filename).lower()


def has_tag(filename: str, tag: str) -> bool:
    """Whether a file is a model's GGUF file of a quantization; one of ``Q4_K_M`` is none of
    ``Q4_K``."""
    name = base_name(filename).lower()
    tagged = re.search(rf"(?<![a-z0-9_]){re.escape(tag.lower())}(?![a-z0-9_])", name)
    return name.endswith(".gguf") and tagged is not None and not is_projector(name)
