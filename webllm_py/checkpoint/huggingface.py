"""Hugging Face folders: config.json, safetensors and the small text files beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.checkpoint.checkpoint import BARE, Checkpoint, TensorInfo
from webllm_py.checkpoint.json_text import parse_object
from webllm_py.checkpoint.quantized import joined, quantization_of
from webllm_py.checkpoint.safetensors import read_index, read_safetensors
from webllm_py.checkpoint.text_files import (
    chat_templates,
    read_file,
    read_files,
    read_texts,
)
from webllm_py.checkpoint.text_part import split_tensors, text_config
from webllm_py.checkpoint.vision_part import (
    EMBEDDED,
    PREPARING,
    SEEING,
    split_embedded,
    vision_part,
)
from webllm_py.errors import CorruptCheckpointError, MissingFileError, UnsupportedModelError
from webllm_py.fetch.source import ByteSource, Folder, base_name

__all__ = ["CONFIG", "EMBEDDERS", "INDEX", "WEIGHTS", "open_huggingface"]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# What sentence-transformers puts beside an encoder: how its rows become one vector.
EMBEDDERS = ("bert", "roberta", "xlm-roberta")
EMBEDDER_FILES = ("modules.json", "1_Pooling/config.json")
MAX_CONFIG_BYTES = 4 << 20
MAX_INDEX_BYTES = 16 << 20


async def open_huggingface(folder: Folder) -> Checkpoint:
    """Read and check a Hugging Face folder; no tensor is read.

    Raises:
        MissingFileError: no config.json, no safetensors, or not all of them.
        CorruptCheckpointError: a file is truncated, damaged or contradicts another.
        UnsupportedModelError: a kind of model or tensor that this version does not run.
        SourceError: the bytes cannot be had.
    """
    data = await read_file(folder, CONFIG, MAX_CONFIG_BYTES)
    if data is None:
        raise MissingFileError(f"{folder.name} holds no {CONFIG}.")
    whole = parse_object(data, f"{CONFIG} of {folder.name}")
    config = text_config(folder.name, whole)
    quantization = quantization_of(config, folder.name)
    architecture = _architecture(folder.name, config)
    files = await read_texts(folder)
    if architecture in EMBEDDERS:
        files |= await read_files(folder, EMBEDDER_FILES)
    default, named = chat_templates(folder.name, files)
    opened: list[ByteSource] = []
    try:
        tensors = joined(await _tensors(folder, opened), quantization, folder.name)
        vision = None
        if config is not whole:
            tensors, others = split_tensors(tensors)
            if whole.get("model_type") in SEEING and others:
                files |= await read_files(folder, PREPARING)
                vision = vision_part(folder.name, whole, others, files)
        elif architecture in EMBEDDED:
            tensors, others = split_embedded(tensors, EMBEDDED[architecture])
            files |= await read_files(folder, PREPARING)
            vision = vision_part(folder.name, whole, others, files)
        if BARE in tensors:
            files |= await read_files(folder, EMBEDDER_FILES)
    except BaseException:
        for source in opened:
            await source.close()
        raise
    return Checkpoint(
        kind="huggingface",
        name=base_name(folder.name),
        architecture=architecture,
        metadata=config,
        tensors=tensors,
        files=files,
        chat_template=default,
        named_templates=named,
        sources=tuple(opened),
        vision=vision,
    )


def _architecture(name: str, config: Mapping[str, Any]) -> str:
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise UnsupportedModelError(
            f"The {CONFIG} of {name} names no model_type, so that the architecture is not known: "
            f"{config.get('architectures')!r} is all it says. Is it a model for transformers?"
        )
    return model_type


async def _tensors(folder: Folder, opened: list[ByteSource]) -> dict[str, TensorInfo]:
    """The tensors of all weight files; each file that is opened is added to ``opened``."""
    try:
        opened.append(await folder.open(WEIGHTS))
    except MissingFileError:
        return await _sharded_tensors(folder, opened)
    return await read_safetensors(opened[0])


async def _sharded_tensors(folder: Folder, opened: list[ByteSource]) -> dict[str, TensorInfo]:
    data = await read_file(folder, INDEX, MAX_INDEX_BYTES)
    if data is None:
        raise MissingFileError(
            f"{folder.name} holds neither {WEIGHTS} nor {INDEX}: the model's weights are missing."
        )
    index = read_index(data, f"{INDEX} of {folder.name}")
    tensors: dict[str, TensorInfo] = {}
    for shard in sorted(set(index.values())):
        source = await folder.open(shard)
        opened.append(source)
        for name, tensor in (await read_safetensors(source)).items():
            if index.get(name, shard) != shard or name in tensors:
                raise CorruptCheckpointError(f"{source.name} holds {name!r} a second time.")
            tensors[name] = tensor
        await source.pause()
    missing = [name for name in index if name not in tensors]
    if missing:
        raise CorruptCheckpointError(
            f"{folder.name}: {len(missing)} tensors that {INDEX} names are not in their files, "
            f"the first is {missing[0]!r} in {index[missing[0]]}."
        )
    return tensors
