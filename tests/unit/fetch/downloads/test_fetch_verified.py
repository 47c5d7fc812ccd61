"""Files that are checked while they are read, on their way through whatever order of reads."""

from __future__ import annotations

import asyncio
from hashlib import md5
from pathlib import Path

import pytest

from webllm_py.errors import CorruptCheckpointError, MissingFileError, SourceError
from webllm_py.fetch.downloads.verified import VerifiedFile
from webllm_py.fetch.files.local import LocalFile, LocalFolder
from webllm_py.fetch.source import ByteSource

DATA = bytes(i * i % 251 for i in range(2_500_000))  # reads of more than 1 MiB take a thread
READS = [
    [(0, len(DATA))],
    [(0, 1_000_001), (1_000_001, len(DATA) - 1_000_001)],
    [(0, 70), (40, 100), (20, 5), (140, 1_400_000), (1_400_140, len(DATA) - 1_400_140)],
    [(5, 10), (2_000_000, 10)],  # the gaps and the end are read for the digest
    [],
]


def file_of(folder: Path, data: bytes, **changes: object) -> VerifiedFile:
    (folder / "a.bin").write_bytes(data)
    facts = {"nbytes": len(DATA), "md5": md5(DATA).hexdigest(), **changes}
    return VerifiedFile(LocalFolder(folder), "a.bin", **facts)  # type: ignore[arg-type]


async def read(file: VerifiedFile, reads: list[tuple[int, int]]) -> None:
    for offset, length in reads:
        assert await file.read_chunk(offset, length) == DATA[offset : offset + length]
    await file.verify()


@pytest.mark.parametrize("reads", READS)
async def test_what_is_right_can_be_read_in_any_order(
    tmp_path: Path, reads: list[tuple[int, int]]
) -> None:
    file = file_of(tmp_path, DATA)
    assert isinstance(file, ByteSource)
    assert await file.size() == len(DATA)
    await read(file, reads)
    assert await file.read(3, 9) == DATA[3:12]  # again, after its end
    await file.close()
    with pytest.raises(SourceError, match="was closed"):
        await file.read(0, 1)


@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("at", [0, 1_200_000, len(DATA) - 1])
async def test_a_changed_byte_is_found(
    tmp_path: Path, reads: list[tuple[int, int]], at: int
) -> None:
    changed = bytearray(DATA)
    changed[at] ^= 1
    file = file_of(tmp_path, bytes(changed))
    with pytest.raises(CorruptCheckpointError, match=r"a\.bin is damaged: its MD5 is"):
        for offset, length in reads:
            await file.read(offset, length)
        await file.verify()
    await file.close()


@pytest.mark.parametrize(("less", "message"), [(-1, "is incomplete"), (1, "is damaged")])
async def test_another_length_is_found_at_once(tmp_path: Path, less: int, message: str) -> None:
    file = file_of(tmp_path, DATA, nbytes=len(DATA) - less)
    for touch in (file.check_size(), file.read(0, 1)):
        with pytest.raises(CorruptCheckpointError, match=message):
            await touch


async def test_without_a_digest_nothing_more_is_read(tmp_path: Path) -> None:
    file = file_of(tmp_path, DATA, md5=None)
    (tmp_path / "a.bin").write_bytes(DATA)
    await read(file, [(9, 9)])
    with pytest.raises(SourceError, match="ends at byte"):
        await file.read(len(DATA), 1)
    await file.close()


async def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"b\.bin"):
        await VerifiedFile(LocalFolder(tmp_path), "b.bin", 1, None).check_size()


async def turns() -> None:
    """Of the event loop, for what goes on beside."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_next_file_is_opened_meanwhile(tmp_path: Path) -> None:
    opened: list[str] = []

    class Folder(LocalFolder):
        async def open(self, filename: str) -> LocalFile:
            opened.append(filename)
            return await super().open(filename)

    for name in "abc":
        (tmp_path / name).write_bytes(DATA[:100])
    digest = md5(DATA[:100]).hexdigest()
    files = [VerifiedFile(Folder(tmp_path), name, 100, digest) for name in "abc"]
    files[0].following, files[1].following = files[1:]
    await files[0].read(0, 10)
    await turns()
    assert opened == ["a", "b"]
    for file in files[:2]:
        await file.verify()
    await turns()
    assert opened == ["a", "b", "c"]
    for file in files:
        await file.close()


async def test_a_next_file_that_is_missing_is_found_by_its_read(tmp_path: Path) -> None:
    file = file_of(tmp_path, DATA)
    file.following = VerifiedFile(LocalFolder(tmp_path), "b.bin", 1, None)
    await file.verify()
    await turns()
    with pytest.raises(MissingFileError, match=r"b\.bin"):
        await file.following.read(0, 1)
    await file.following.close()
