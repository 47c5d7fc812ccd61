"""A kept file that is not what it must be: its digest, and the blocks that are fetched again."""

from __future__ import annotations

from webllm_py.errors import CorruptCheckpointError
from webllm_py.fetch.downloads.digest import StreamDigest
from webllm_py.fetch.downloads.download import Download
from webllm_py.fetch.downloads.kept import Kept
from webllm_py.fetch.downloads.reader import KeptReader

__all__ = ["digest_of", "repair"]

RUN_BLOCKS = 16  # that are digested at once


async def digest_of(kept: Kept, digest: StreamDigest) -> str:
    """The digest of the whole file, which grows as blocks come."""
    reader = KeptReader(kept)
    if digest.algorithm == "sha256" and kept.away is not None:
        return await kept.away.sha256_of(reader.runs(RUN_BLOCKS))
    try:
        for index in range(kept.count):
            kept.digested = index
            await digest.add(await reader.read_beside(*kept.range(index)))
    finally:
        kept.digested = None
    return digest.hexdigest()


async def repair(kept: Kept, download: Download, algorithm: str, digest: str, *, name: str) -> None:
    """Replace blocks until the digest is right.

    First those that are not as they came. Which of the others came wrong, a digest of the whole
    file does not tell: each is fetched again, until it is right.

    Args:
        name: what the file is called in errors.

    Raises:
        CorruptCheckpointError: the server's file has another digest; what is kept is deleted.
    """
    if await kept.check_blocks():
        kept.replaced = True
        await download.run()
    found = await digest_of(kept, StreamDigest(algorithm))
    for index in range(kept.count):
        if found == digest:
            return
        before = kept.blocks[index]
        if await download.fetch_again(index) != before:
            found = await digest_of(kept, StreamDigest(algorithm))
    if found == digest:
        return
    await kept.forget()
    raise CorruptCheckpointError(
        f"{name} is damaged on its server: its {algorithm.upper()} is {found}, but it "
        f"must be {digest}. Load it again, or take it from elsewhere."
    )
