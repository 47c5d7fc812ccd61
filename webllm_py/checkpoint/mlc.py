"""MLC folders, as WebLLM loads them: mlc-chat-config.json, the weight index and its shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from webllm_py.checkpoint.checkpoint import Checkpoint, TensorInfo, VisionPart
from webllm_py.checkpoint.huggingface import EMBEDDERS
from webllm_py.checkpoint.json_text import parse_object
from webllm_py.checkpoint.mlc_config import (
    generation_config,
    model_config,
    pooling_files,
    quantization_of,
    tokenizer_files,
)
from webllm_py.checkpoint.mlc_format import BY_COLUMNS, Quantization
from webllm_py.checkpoint.mlc_index import WORDS, Record, Shard, read_index
from webllm_py.checkpoint.text_files import TEXT_FILES, chat_templates, read_file, read_texts
from webllm_py.checkpoint.vision_part import EMBEDDED, split_embedded
from webllm_py.errors import CorruptCheckpointError, MissingFileError, UnsupportedModelError
from webllm_py.fetch.downloads.verified import VerifiedFile
from webllm_py.fetch.source import ByteSource, Folder, base_name

__all__ = ["MLC_CONFIG", "open_mlc"]

MLC_CONFIG = "mlc-chat-config.json"
INDEXES = ("tensor-cache.json", "ndarray-cache.json")  # the newer name first
MAX_CONFIG_BYTES = 4 << 20
MAX_INDEX_BYTES = 16 << 20
CODES, SCALES = ".q_weight", ".q_scale"


async def open_mlc(folder: Folder) -> Checkpoint:
    """Read and check an MLC folder; no tensor is read.

    Shards are opened one after the other while they are read, and their MD5 is compared.

    Raises:
        MissingFileError: the config, the index or a shard is not there.
        CorruptCheckpointError: a file is truncated, damaged or contradicts another.
        UnsupportedModelError: a quantization or tensor that this version does not run.
        SourceError: the bytes cannot be had.
    """
    data = await read_file(folder, MLC_CONFIG, MAX_CONFIG_BYTES)
    if data is None:
        raise MissingFileError(f"{folder.name} holds no {MLC_CONFIG}.")
    title = f"{MLC_CONFIG} of {folder.name}"
    config = parse_object(data, title)
    metadata = model_config(config, title)
    quantization = quantization_of(config, folder.name)
    shards = await _index(folder)
    sources = {
        shard.filename: VerifiedFile(folder, shard.filename, shard.nbytes, shard.md5)
        for shard in shards
    }
    # Tensors are loaded in the order of their files' names.
    for source, following in pairwise(sorted(sources.values(), key=lambda source: source.name)):
        source.following = following
    await _check_shards(folder, sources)
    files = await read_texts(folder, tokenizer_files(config, TEXT_FILES))
    architecture = metadata["model_type"]
    if architecture in EMBEDDERS:
        files |= pooling_files(config)
    template, named = chat_templates(folder.name, files)
    conversation = config.get("conv_template")
    tensors = _tensors(shards, sources, quantization, folder.name)
    vision = None
    if architecture in EMBEDDED:
        prefix = EMBEDDED[architecture].removeprefix("model.")
        tensors, seeing = split_embedded(tensors, prefix)
        vision = VisionPart("mlc", architecture, metadata, seeing, {})
    return Checkpoint(
        kind="mlc",
        name=base_name(folder.name),
        architecture=architecture,
        metadata=metadata,
        tensors=tensors,
        files={**files, "generation_config.json": generation_config(config)},
        chat_template=template,
        named_templates=named,
        conversation=conversation if isinstance(conversation, dict) else None,
        sources=tuple(sources.values()),
        vision=vision,
    )


async def _index(folder: Folder) -> list[Shard]:
    for filename in INDEXES:
        data = await read_file(folder, filename, MAX_INDEX_BYTES)
        if data is not None:
            return read_index(data, f"{filename} of {folder.name}")
    raise MissingFileError(
        f"{folder.name} holds neither {' nor '.join(INDEXES)}: the index of its weights is missing."
    )


async def _check_shards(folder: Folder, sources: Mapping[str, VerifiedFile]) -> None:
    """Where the folder can list its files, they must be there; of a server each is asked for when
    it is read, for hundreds of requests would be made before the first byte."""
    names = await folder.list()
    if names is None:
        return
    missing = [filename for filename in sources if filename not in names]
    if missing:
        raise MissingFileError(
            f"{folder.name} lacks {len(missing)} of the {len(sources)} shards that its index "
            f"names, the first is {missing[0]}. Download it again."
        )
    if not folder.name.startswith(("http:", "https:")):
        for source in sources.values():
            await source.check_size()


def _tensors(
    shards: Sequence[Shard],
    sources: Mapping[str, ByteSource],
    quantization: Quantization,
    name: str,
) -> dict[str, TensorInfo]:
    """The tensors, quantized ones under the name of the matrix that their two make."""
    stored = {
        record.name: _stored(record, sources[shard.filename])
        for shard in shards
        for record in shard.records
    }
    tensors: dict[str, TensorInfo] = {}
    for tensor in stored.values():
        stem = tensor.name.removesuffix(CODES)
        if tensor.name.endswith(SCALES) and tensor.name.removesuffix(SCALES) + CODES in stored:
            continue
        if tensor.format is not WORDS:
            tensors[tensor.name] = tensor
            continue
        scales = stored.get(stem + SCALES)
        if stem == tensor.name or scales is None:
            raise CorruptCheckpointError(
                f"{name}: the tensor {tensor.name!r} holds codes, but there are no scales "
                f"{stem + SCALES!r}."
            )
        tensors[f"{stem}.weight"] = _quantized(tensor, scales, quantization, name)
    return tensors


def _stored(record: Record, source: ByteSource) -> TensorInfo:
    return TensorInfo(
        record.name, record.shape, record.format, source, record.offset, record.nbytes
    )


def _quantized(
    codes: TensorInfo, scales: TensorInfo, quantization: Quantization, name: str
) -> TensorInfo:
    """A matrix of codes and scales: (rows, words of a row) and (rows, groups), or both transposed.

    How many columns it has beyond whole groups, the two do not tell.
    """
    by_columns = False
    match codes.shape, scales.shape:
        case (rows, words), (rows2, groups) if rows == rows2 and words == 4 * groups:
            pass
        case (words, rows), (groups, rows2) if rows == rows2 and words == 4 * groups:
            by_columns = True
        case _:
            raise CorruptCheckpointError(
                f"{name}: {codes.name} of shape {list(codes.shape)} and {scales.name} of shape "
                f"{list(scales.shape)} do not belong together."
            )
    format = quantization.format_of(scales.format.name, by_columns=by_columns)
    if format is None:
        layout = "transposed " if by_columns else ""
        raise UnsupportedModelError(
            f"{name}: {codes.name} holds {layout}codes of {quantization.bits} bits with scales of "
            f"{scales.format.name}, which this version does not run. Take the model as q4f16_1 or "
            "q4f32_1."
        )
    flat = BY_COLUMNS[scales.format.name] if by_columns else scales.format
    scales = TensorInfo(
        scales.name, (rows, groups), flat, scales.source, scales.offset, scales.nbytes
    )
    return TensorInfo(
        name=codes.name,
        shape=(rows, groups * format.block_size),
        format=format,
        source=codes.source,
        offset=codes.offset,
        nbytes=codes.nbytes,
        companions={"scales": scales},
    )
