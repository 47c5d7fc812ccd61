"""A kept file that is not what it must be: its digest, and the blocks that are fetched again."""

from __future__ import annotations

from webllm_py.errors import CorruptCheckpointError
from webllm_py.fetch.downloads.block_reader import BlockReader
from webllm_py.fetch.downloads.cached_file import CachedFile
from webllm_py.fetch.downloads.digest import StreamDigest
from webllm_py.fetch.downloads.download import Download

__all__ = ["digest_of", "repair"]

RUN_BLOCKS = 16  # that are digested at once


async def digest_of(cached: CachedFile, digest: StreamDigest) -> str:
    """The digest of the whole file, which grows as blocks come."""
    reader = BlockReader(cached)
    if digest.algorithm == "sha256" and cached.worker_file is not None:
        return await cached.worker_file.sha256_of(reader.runs(RUN_BLOCKS))
    try:
        for index in range(cached.count):
            cached.digested = index
            await digest.add(await reader.read_beside(*cached.range(index)))
    finally:
        cached.digested = None
    return digest.hexdigest()


async def repair(
    cached: CachedFile, download: Download, algorithm: str, digest: str, *, name: str
) -> None:
    """Replace blocks until the digest is right.

    First those that are not as they came. Which of the others came wrong, a digest of the whole
    file does not tell: each is fetched again, until it is right.

    Args:
        name: what the file is called in errors.

    Raises:
        CorruptCheckpointError: the server's file has another digest; what is kept is deleted.
    """
    if await cached.check_blocks():
        cached.replaced = True
        await download.run()
    found = await digest_of(cached, StreamDigest(algorithm))
    for index in range(cached.count):
        if found == digest:
            return
        before = cached.blocks[index]
        if await download.fetch_again(index) != before:
            found = await digest_of(cached, StreamDigest(algorithm))
    if found == digest:
        return
    await cached.forget()
    raise CorruptCheckpointError(
        f"{name} is damaged on its server: its {algorithm.upper()} is {found}, but it "
        f"must be {digest}. Load it again, or take it from elsewhere."
    )
