"""Files and directories by path."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from webllm_py.errors import MissingFileError, SourceError
from webllm_py.fetch.files.local import LocalFile, LocalFolder
from webllm_py.fetch.source import ByteSource, Folder

DATA = bytes(range(256)) * 12_000  # 3 MB: reads of more than 1 MiB take a thread


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(DATA)
    return path


async def test_reads_anywhere(path: Path) -> None:
    file = LocalFile(path)
    assert isinstance(file, ByteSource) and file.name == str(path)
    assert await file.size() == len(DATA)
    assert await file.read(250, 12) == DATA[250:262]
    assert await file.read_chunk(7, 2_000_000) == DATA[7:2_000_007]
    assert await file.read(len(DATA), 0) == b""
    assert await file.read_all(len(DATA)) == DATA
    await file.pause()
    assert await file.read(0, 3) == DATA[:3]
    await file.close()


async def test_concurrent_reads_do_not_mix(path: Path) -> None:
    file = LocalFile(path)
    offsets = list(range(1, 1000, 100))
    parts = await asyncio.gather(*(file.read(offset, 2_000_000) for offset in offsets))
    assert parts == [DATA[offset : offset + 2_000_000] for offset in offsets]
    await file.close()


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (0, 1 << 60), (3_072_000, 1)])
async def test_refuses_what_is_not_there(path: Path, offset: int, length: int) -> None:
    file = LocalFile(path)
    with pytest.raises(SourceError, match=r"cannot read|ends at byte 3072000, but bytes"):
        await file.read(offset, length)
    with pytest.raises(SourceError, match="at most 5 are expected"):
        await file.read_all(5)
    await file.close()


async def test_file_that_shrinks(path: Path) -> None:
    file = LocalFile(path)
    with path.open("r+b") as other:
        other.truncate(100)
    with pytest.raises(SourceError, match="ended at byte 100, but had 3072000 bytes"):
        await file.read(90, 20)
    await file.close()


async def test_closed_file(path: Path) -> None:
    file = LocalFile(path)
    await file.close()
    await file.close()
    with pytest.raises(SourceError, match="was closed"):
        await file.read(0, 1)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        LocalFile(tmp_path / "nothing")
    with pytest.raises(SourceError, match="is not a file"):
        LocalFile(tmp_path)
    with pytest.raises(SourceError, match="is not a file"):
        LocalFile("/dev/zero")  # endless


async def test_folder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_bytes(b"b")
    (tmp_path / "a.txt").write_bytes(b"a")
    folder = LocalFolder(tmp_path)
    assert isinstance(folder, Folder)
    assert await folder.list() == ["a.txt"]
    assert await folder.exists("sub/b.txt") and not await folder.exists("sub")
    file = await folder.open("sub/b.txt")
    assert await file.read_all(1) == b"b"
    await file.close()
    with pytest.raises(MissingFileError, match=r"holds no c\.txt"):
        await folder.open("c.txt")
    with pytest.raises(SourceError, match="cannot be listed: No such file"):
        await LocalFolder(tmp_path / "gone").list()
