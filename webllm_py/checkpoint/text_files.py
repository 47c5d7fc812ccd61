"""The small text files beside the weights of a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from webllm_py.checkpoint.json_text import parse_object
from webllm_py.errors import CorruptCheckpointError, MissingFileError
from webllm_py.fetch.source import Folder

__all__ = ["TEXT_FILES", "chat_templates", "read_file", "read_files", "read_texts"]

TOKENIZER = "tokenizer.json"
# Other forms of what tokenizer.json says; megabytes that are only read where that one is missing.
OLDER_TOKENIZERS = ("tokenizer.model", "vocab.json", "merges.txt", "vocab.txt")
# Templates in files of their own, as newer versions of transformers save them, and their names.
TEMPLATES = {
    "chat_template.jinja": "default",
    "additional_chat_templates/tool_use.jinja": "tool_use",
}
TEXT_FILES = (
    TOKENIZER,
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "generation_config.json",
    "chat_template.json",
    *TEMPLATES,
)
MAX_TEXT_BYTES = 64 << 20  # the largest tokenizer.json in use (Gemma's) has 33 MB


async def read_file(folder: Folder, filename: str, limit: int) -> bytes | None:
    """The file's bytes; None if there is no such file."""
    try:
        source = await folder.open(filename)
    except MissingFileError:
        return None
    try:
        return await source.read_all(limit)
    finally:
        await source.close()


async def read_texts(folder: Folder, wanted: Collection[str] = TEXT_FILES) -> dict[str, bytes]:
    """The text files that are there, by name.

    Args:
        wanted: names of files to read; ``OLDER_TOKENIZERS`` are read as well where tokenizer.json
            is missing.
    """
    files = await read_files(folder, wanted)
    return files if TOKENIZER in files else files | await read_files(folder, OLDER_TOKENIZERS)


async def read_files(folder: Folder, names: Collection[str]) -> dict[str, bytes]:
    """The files of these names that are there."""
    # All at once: over HTTP each is a round trip. What fails is raised when all have ended.
    found = await asyncio.gather(
        *(read_file(folder, name, MAX_TEXT_BYTES) for name in names), return_exceptions=True
    )
    files: dict[str, bytes] = {}
    for name, data in zip(names, found, strict=True):
        if isinstance(data, BaseException):
            raise data
        if data is not None:
            files[name] = data
    return files


def chat_templates(name: str, files: Mapping[str, bytes]) -> tuple[str | None, dict[str, str]]:
    """The default chat template and the others by name; the last file that has one wins."""
    named: dict[str, str] = {}
    for filename in ("chat_template.json", "tokenizer_config.json"):
        if filename in files:
            title = f"{filename} of {name}"
            template = parse_object(files[filename], title).get("chat_template")
            named |= _named_templates(template, title)
    for filename in TEMPLATES.keys() & files.keys():
        try:
            named[TEMPLATES[filename]] = files[filename].decode()
        except UnicodeDecodeError as error:
            raise CorruptCheckpointError(
                f"{filename} of {name} is not valid UTF-8 ({error.reason})."
            ) from error
    return named.pop("default", None), named


def _named_templates(template: Any, title: str) -> dict[str, str]:
    if template is None:
        return {}
    if isinstance(template, str):
        return {"default": template}
    entries = template if isinstance(template, list) else [template]
    named = {}
    for entry in entries:
        match entry:
            case {"name": str(key), "template": str(text)}:
                named[key] = text
            case _:
                raise CorruptCheckpointError(
                    f"{title}: chat_template is neither a text nor a list of named texts."
                )
    return named
