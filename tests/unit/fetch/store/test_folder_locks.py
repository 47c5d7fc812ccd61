"""Locks of the store's folder, by names of any length."""

from __future__ import annotations

from pathlib import Path

from webllm_py.fetch.backends.folder_backend import FolderBackend


async def test_locks_of_long_names_that_begin_alike(tmp_path: Path) -> None:
    """As parts of a model have them: each can be downloaded by another process."""
    backend, stem = FolderBackend(tmp_path), "model/" + "folder/" * 40 + "part-"
    held = [await backend.lock(f"{stem}{number}") for number in range(2)]
    assert None not in held and await backend.lock(f"{stem}0") is None
    for lock in held:
        assert lock is not None
        await lock.release()
    again = await backend.lock(f"{stem}0")
    assert again is not None
    await again.release()
