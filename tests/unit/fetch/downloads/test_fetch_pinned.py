"""Files that must have the digests that the caller gives, whichever way they are read."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from webllm_py.checkpoint import open_checkpoint
from webllm_py.errors import CorruptCheckpointError, IntegrityError
from webllm_py.fetch.downloads.pinned import PinnedFile, PinnedFolder
from webllm_py.fetch.files.local import LocalFolder
from webllm_py.fetch.options import FetchOptions

DATA = bytes(range(256)) * 9000  # more than a block
NAME = "weights.bin"


def sri(data: bytes, algorithm: str = "sha256") -> str:
    """As ``openssl dgst -sha256 -binary FILE | openssl base64 -A`` and a prefix."""
    digest = hashlib.new(algorithm, data).digest()
    return f"{algorithm}-{base64.b64encode(digest).decode()}"


@pytest.fixture
def folder(tmp_path: Path) -> LocalFolder:
    (tmp_path / NAME).write_bytes(DATA)
    (tmp_path / "other.bin").write_bytes(DATA)
    return LocalFolder(tmp_path)


@asynccontextmanager
async def opened(
    folder: LocalFolder, digest: str, mismatch: str = "error"
) -> AsyncIterator[PinnedFile]:
    options = FetchOptions(integrity={NAME: digest}, mismatch=mismatch)  # type: ignore[arg-type]
    found = await PinnedFolder(folder, options).open(NAME)
    assert isinstance(found, PinnedFile)
    yield found
    await found.close()


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
async def test_the_right_file(folder: LocalFolder, algorithm: str) -> None:
    for digest in (sri(DATA, algorithm), sri(DATA, algorithm).rstrip("=")):
        async with opened(folder, digest) as file:
            assert await file.read_all(1 << 30) == DATA
            assert await file.read(5, 100) == DATA[5:105]
            assert await file.verify() is False
            assert await file.size() == len(DATA) and await file.missing_bytes() == 0


async def test_another_file_in_each_way_of_reading(folder: LocalFolder) -> None:
    wrong = sri(DATA[:-1])
    async with opened(folder, wrong) as whole:
        with pytest.raises(IntegrityError, match="is not the file that was meant") as caught:
            await whole.read_all(1 << 30)
    assert caught.value.url.endswith(NAME)
    assert (caught.value.expected, caught.value.actual) == (wrong, sri(DATA))
    async with opened(folder, wrong) as forwards:
        assert await forwards.read(0, 1000) == DATA[:1000]
        assert await forwards.read(500, 1000) == DATA[500:1500]  # partly again
        with pytest.raises(CorruptCheckpointError):
            await forwards.read(1500, len(DATA) - 1500)
    async with opened(folder, wrong) as skipping:
        assert await skipping.read(len(DATA) - 10, 10) == DATA[-10:]
        with pytest.raises(IntegrityError):
            await skipping.verify()


async def test_another_file_is_warned_of(folder: LocalFolder) -> None:
    for read in (lambda file: file.read_all(1 << 30), PinnedFile.verify):
        async with opened(folder, sri(b""), "warn") as file:
            with pytest.warns(UserWarning, match="sha256-.* was expected"):
                assert await read(file) in (DATA, False)


async def test_others_are_left_alone(folder: LocalFolder) -> None:
    pinned = PinnedFolder(folder, FetchOptions(integrity={NAME: sri(b"")}))
    assert await pinned.list() == ["other.bin", NAME] and await pinned.exists("other.bin")
    other = await pinned.open("other.bin")
    assert await other.read_all(1 << 30) == DATA
    await other.close()


async def test_of_a_checkpoint() -> None:
    path = Path(__file__).parents[4] / "demo" / "pocket" / "pocket.gguf"
    for data, is_right in ((path.read_bytes(), True), (b"", False)):
        checkpoint = await open_checkpoint(path, FetchOptions(integrity={path.name: sri(data)}))
        if is_right:
            assert await checkpoint.verify() is False
        else:
            with pytest.raises(IntegrityError):
                await checkpoint.verify()
        await checkpoint.close()


@pytest.mark.parametrize("wrong", ["", "md5-abcd", "sha256-", "sha256:abcd", 5])
def test_what_is_no_digest(wrong: object) -> None:
    with pytest.raises(ValueError, match="integrity of 'a' must be"):
        FetchOptions(integrity={"a": wrong})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="mismatch must be"):
        FetchOptions(mismatch="ignore")  # type: ignore[arg-type]
