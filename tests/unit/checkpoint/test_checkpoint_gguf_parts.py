"""GGUF models split into several files: from any part or a folder; what goes wrong."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from checkpoint_files import MemoryFolder, MemorySource

from webllm_py.checkpoint import Checkpoint, GGUFWriter, ValueType, open_checkpoint
from webllm_py.errors import (
    CheckpointError,
    CorruptCheckpointError,
    MissingFileError,
    SeveralModelsError,
    UnsupportedModelError,
)

NAMES = [f"tiny-Q8_0-0000{i}-of-00003.gguf" for i in (1, 2, 3)]


def part(no: int, count: int = 3, *, tensor: str | None = None, total: int = 3) -> bytes:
    """A part as llama.cpp's gguf-split writes it: the first has all of the metadata."""
    writer = GGUFWriter()
    if no == 0:
        writer.add("general.architecture", "llama")
        writer.add("general.name", "Tiny")
    writer.add("split.no", no, ValueType.UINT16)
    writer.add("split.count", count, ValueType.UINT16)
    writer.add("split.tensors.count", total, ValueType.INT32)
    writer.add_tensor(tensor or f"t{no}", (2, 32), "F32", [bytes([no + 1]) * 256])
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


PARTS = {name: part(i) for i, name in enumerate(NAMES)}


async def check(checkpoint: Checkpoint) -> None:
    assert (checkpoint.name, checkpoint.architecture) == ("Tiny", "llama")
    assert [*checkpoint.tensors] == ["t0", "t1", "t2"]
    for i, tensor in enumerate(checkpoint.tensors.values()):
        assert await tensor.source.read(tensor.offset, tensor.nbytes) == bytes([i + 1]) * 256
    await checkpoint.close()


@pytest.mark.parametrize("given", [*NAMES, ""])
async def test_from_disk(given: str, tmp_path: Path) -> None:
    """Any part stands for all of them, and so does their folder."""
    for name, data in PARTS.items():
        (tmp_path / name).write_bytes(data)
    await check(await open_checkpoint(tmp_path / given))


async def test_parts_within_a_folder_of_a_repository() -> None:
    folder = MemoryFolder({f"Q8_0/{name}": data for name, data in PARTS.items()})
    await check(await open_checkpoint(folder))
    assert not any(source.open for source in folder.opened)


async def test_a_model_counts_once_among_several() -> None:
    with pytest.raises(SeveralModelsError, match=rf"2 \.gguf files.*other\.gguf, {NAMES[0]}\."):
        await open_checkpoint(MemoryFolder({**PARTS, "other.gguf": b""}))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({NAMES[1]: None}, MissingFileError, f"one of 3 parts.*{NAMES[1]} is not beside it"),
        ({NAMES[2]: part(1)}, CorruptCheckpointError, "named part 3 of 3, but is not"),
        ({NAMES[1]: part(1, 2)}, CorruptCheckpointError, "named part 2 of 3, but is not"),
        ({NAMES[0]: part(0, total=4)}, CorruptCheckpointError, "have 3 tensors; 4 are expected"),
        ({NAMES[2]: part(2, tensor="t1")}, CorruptCheckpointError, "'t1', which another part has"),
        ({NAMES[2]: PARTS[NAMES[2]][:-1]}, CorruptCheckpointError, "00003-of-00003.gguf is incom"),
        ({NAMES[2]: PARTS[NAMES[2]][:60]}, CorruptCheckpointError, "00003-of-00003.gguf"),
    ],
)
async def test_parts_that_do_not_fit(
    change: Mapping[str, bytes | None], error: type[CheckpointError], message: str
) -> None:
    files = {name: data for name, data in {**PARTS, **change}.items() if data is not None}
    folder = MemoryFolder(files)
    with pytest.raises(error, match=message):
        await open_checkpoint(folder)
    assert folder.opened and not any(source.open for source in folder.opened)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("renamed.gguf", UnsupportedModelError, "must end in -00001-of-00003.gguf"),
        (NAMES[1], UnsupportedModelError, "part 1 of a model split into 3 files, but is not named"),
        (NAMES[0], MissingFileError, f"{NAMES[1]} is not beside it.*Give the folder, or all files"),
    ],
)
async def test_a_part_alone(name: str, error: type[CheckpointError], message: str) -> None:
    source = MemorySource(PARTS[NAMES[0]], name)
    with pytest.raises(error, match=message):
        await open_checkpoint(source)
    assert not source.open
