"""Opens a model of any kind: tells by their content what the given files are."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from webllm_py.checkpoint.checkpoint import Checkpoint, VisionPart
from webllm_py.checkpoint.gguf import PROJECTOR, open_gguf
from webllm_py.checkpoint.gguf_format import MAGIC
from webllm_py.checkpoint.gguf_parts import Opener, is_later_part
from webllm_py.errors import (
    CheckpointError,
    CorruptCheckpointError,
    MissingFileError,
    NotAModelError,
    SeveralModelsError,
    UnsupportedModelError,
)
from webllm_py.fetch.downloads.pinned import pinned_file, pinned_folder
from webllm_py.fetch.options import FetchOptions
from webllm_py.fetch.resolver import open_beside, resolve, telling_of_guesses
from webllm_py.fetch.source import ByteSource, Folder, base_name, closed_on_error
from webllm_py.fetch.tagged import is_projector
from webllm_py.units import counted

__all__ = ["open_checkpoint"]

CONFIG = "config.json"
MLC_CONFIG = "mlc-chat-config.json"
HEAD_BYTES = 16  # enough to tell every kind; no GGUF or safetensors file is shorter
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
# Of models that have no safetensors, where a server's folder cannot be listed.
USUAL_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
PICKLE_REASON = (
    "a PyTorch pickle, which can run any code on the machine that opens it; it is never read. "
    "Take the model as safetensors (its folder) or as GGUF."
)
OLD_GGML = (b"lmgg", b"fmgg", b"tjgg", b"algg")  # "ggml", "ggmf", "ggjt", "ggla" as integers


async def open_checkpoint(
    source: Any, options: FetchOptions | None = None, vision: Any = None
) -> Checkpoint:
    """Open a model's files and check them; no tensor is read yet.

    Args:
        source: a .gguf file (any part, if the model is split), a Hugging Face folder or an MLC
            folder, as ``fetch.resolve`` takes it.
        options: how files of servers are had. None: nothing is kept.
        vision: llama.cpp's projector file ("mmproj") of a GGUF file that reads images. None: the
            one that lies in the same folder, if that is given and has one model only.

    Raises:
        SourceError: the bytes cannot be had.
        MissingFileError: a needed file is not there.
        CorruptCheckpointError: a file is truncated, damaged or contradicts itself.
        UnsupportedModelError: a kind, format or version that is not run; says what to use instead.
    """
    opened = await resolve(source, options)
    options = options or FetchOptions(keep=False)
    with telling_of_guesses(source):
        if isinstance(opened, Folder):
            checkpoint = await _open_folder(pinned_folder(opened, options))
        else:
            file = pinned_file(opened, base_name(opened.name), options)
            checkpoint = await _open_file(file, partial(open_beside, opened))
    if vision is None:
        return checkpoint
    async with closed_on_error(checkpoint):
        projector = await resolve(vision, options)
        if isinstance(projector, Folder):
            raise NotAModelError(f"{projector.name} is a folder; vision must be one .gguf file")
        return await _with_projector(checkpoint, projector)


async def _with_projector(checkpoint: Checkpoint, source: ByteSource) -> Checkpoint:
    """A model of a GGUF file, and what sees for it."""
    if checkpoint.kind != "gguf":
        await source.close()
        raise UnsupportedModelError(
            f"{checkpoint.name} is no GGUF file: what sees lies in its own folder, not in "
            f"{source.name}"
        )
    other = await _open_file(source, partial(open_beside, source), PROJECTOR)
    part = VisionPart("gguf", other.architecture, other.metadata, other.tensors, {})
    return replace(checkpoint, vision=part, sources=(*checkpoint.sources, *other.sources))


async def _open_file(source: ByteSource, open_other: Opener, kind: str = "model") -> Checkpoint:
    async with closed_on_error(source):
        size = await source.size()
        head = await source.read(0, HEAD_BYTES if size is None else min(size, HEAD_BYTES))
        if head and not head.startswith(MAGIC[: len(head)]):
            raise _not_gguf(source.name, head)
        if len(head) < HEAD_BYTES:
            raise CorruptCheckpointError(
                f"{source.name} has only {counted(len(head), 'byte')}: it is incomplete. Download "
                "it again."
            )
        return await open_gguf(source, head, open_other, kind=kind)


def _not_gguf(name: str, head: bytes) -> CheckpointError:
    """The error that says what a file is that is no GGUF file."""
    lower = name.lower().partition("?")[0]
    if head.startswith(OLD_GGML):
        return UnsupportedModelError(
            f"{name} is a GGML file from before GGUF (2023). Take a GGUF file of the model."
        )
    if lower.endswith(".onnx"):
        return UnsupportedModelError(
            f"{name} is an ONNX file, which is not read. Take the model as safetensors or GGUF."
        )
    if lower.endswith((".zip", ".gz", ".tar", ".7z")):
        return UnsupportedModelError(f"{name} is an archive: unpack it and give what is inside.")
    if lower.endswith(PICKLED) or head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        return UnsupportedModelError(f"{name} is {PICKLE_REASON}")
    if head.startswith(b"version https://"):
        return MissingFileError(
            f"{name} is a Git LFS pointer: the file itself was not fetched. Run 'git lfs pull'."
        )
    if head.lstrip().startswith(b"<"):
        return NotAModelError(f"{name} is a web page, not a model. Download the file itself.")
    if lower.endswith((".safetensors", ".safetensors.index.json", ".json")) or head[8:9] == b"{":
        return MissingFileError(
            f"{name} alone is not enough: {CONFIG} and the tokenizer's files are needed as well. "
            "Give the folder that holds them all."
        )
    return NotAModelError(
        f"{name} is no model file: it begins with {head!r}. A .gguf file or a Hugging Face folder "
        "is needed."
    )


async def _open_folder(folder: Folder) -> Checkpoint:
    # Not before they are needed, so that a page's snapshot stays small.
    from webllm_py.checkpoint.huggingface import INDEX, WEIGHTS, open_huggingface

    names = await folder.list()

    async def has(name: str) -> bool:
        return name in names if names is not None else await folder.exists(name)

    has_config = await has(CONFIG)
    if has_config and (await has(WEIGHTS) or await has(INDEX)):
        return await open_huggingface(folder)
    if await has(MLC_CONFIG):
        from webllm_py.checkpoint.mlc import open_mlc

        return await open_mlc(folder)
    if names is not None:
        ggufs = [name for name in names if name.lower().endswith(".gguf")]
        projectors = sorted(filter(is_projector, ggufs))
        models = [n for n in ggufs if n not in projectors and not is_later_part(n)]
        if len(models) == 1:
            checkpoint = await _open_in_folder(folder, models[0])
            if not projectors:
                return checkpoint
            # Of several, that in float16, which what sees was trained near.
            best = next((name for name in projectors if "f16" in name.lower()), projectors[0])
            async with closed_on_error(checkpoint):
                return await _with_projector(checkpoint, await folder.open(best))
        _refuse_other_files(folder.name, names, models or ggufs)
    elif has_config:
        _refuse_other_files(folder.name, [name for name in USUAL_PICKLES if await has(name)], [])
    what = "model.safetensors" if has_config else CONFIG
    if names is None:
        found = " The address of a file must end in .gguf."
    else:
        found = f" It holds: {_listed(names)}." if names else " It is empty."
    raise MissingFileError(
        f"{folder.name} is no model: it holds no {what}. A Hugging Face folder needs {CONFIG}, "
        f"safetensors and the tokenizer's files; otherwise give one .gguf file.{found}"
    )


async def _open_in_folder(folder: Folder, name: str) -> Checkpoint:
    """A GGUF file, or the first part of one, whose others lie beside it."""
    inner = name[: len(name) - len(base_name(name))]
    return await _open_file(await folder.open(name), lambda other: folder.open(inner + other))


def _refuse_other_files(folder: str, names: list[str], ggufs: list[str]) -> None:
    if ggufs:
        raise SeveralModelsError(
            f"{folder} holds {len(ggufs)} .gguf files; give one of them: {_listed(ggufs)}."
        )
    ends = (*PICKLED, ".bin.index.json")
    pickled = [name for name in names if name.lower().endswith(ends)]
    if pickled:
        raise UnsupportedModelError(f"{folder} holds the weights as {pickled[0]}, {PICKLE_REASON}")
    if any(name.lower().endswith(".onnx") for name in names):
        raise UnsupportedModelError(
            f"{folder} holds an ONNX model, which is not read. Take it as safetensors or GGUF."
        )


def _listed(names: list[str], most: int = 30) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
