"""Who may read what is kept on this machine: answers and documents are nobody else's business."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from webllm_py.fetch.backends.folder_backend import FolderBackend
from webllm_py.fetch.store.models_store import models_store
from webllm_py.fetch.store.texts import user_cache_folder


@pytest.mark.skipif(os.name == "nt", reason="permissions are others there")
async def test_the_default_folder_is_its_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("WEBLLM_PY_MODELS", raising=False)
    before = os.umask(0o022)
    try:
        backend = models_store().backend
        assert isinstance(backend, FolderBackend)
        file = await backend.open("a-model", "weights.gguf", 4, 4)
        await file.write(0, b"abcd")
        await file.close()
        assert user_cache_folder().stat().st_mode & 0o777 == 0o700
        (data,) = backend.folder.glob("*/files/*")
        assert data.stat().st_mode & 0o777 == 0o644  # as any file: none that can be executed
        assert user_cache_folder() in data.parents
    finally:
        os.umask(before)
