"""A model of a server: loaded into the store and to the GPU at once, then from the store alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_embedders import EMBEDDERS, texts_of, vectors, write_embedder_mlc

import webllm_py
from webllm_py.errors import CorruptCheckpointError, StorageFullError
from webllm_py.gpu import Device
from webllm_py.runtime.weights.loader import Loader

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "fetch"))

from hostile_server import hostile_server

from webllm_py.fetch.backends.backend import MemoryBackend

CLS = EMBEDDERS["bert-2x40"]
POCKET = Path(__file__).parents[2] / "demo" / "pocket" / "pocket.gguf"


def kept_bytes(folder: Path) -> bytes:
    """The stored file."""
    (path,) = folder.glob("*/files/pocket.gguf")
    return path.read_bytes()


async def answer(source: str, fetch: Any, **options: Any) -> str:
    engine = await webllm_py.load(source, fetch=fetch, tune=False, **options)
    try:
        reply = await engine.completions.create(prompt="Once", max_tokens=8, temperature=0)
        return str(reply.choices[0].text)
    finally:
        await engine.unload()


async def test_a_model_is_loaded_from_a_bad_server_and_then_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    store = webllm_py.models_store(tmp_path)
    fetch = webllm_py.FetchOptions(store=store, timeout=0.5, backoff=0.01)
    progress: list[webllm_py.LoadProgress] = []
    with hostile_server({"pocket.gguf": POCKET.read_bytes()}) as server:
        server.rate = 0.2
        url = server.url("pocket.gguf")
        expected = await answer(url, fetch, on_progress=progress.append)
    assert await store.has(url)
    assert kept_bytes(tmp_path) == POCKET.read_bytes()
    assert await store.size(url) == POCKET.stat().st_size
    assert await answer(url, fetch) == expected
    last = [report for report in progress if report.stage == "weights"][-1]
    assert last.loaded == last.total and last.file == "pocket.gguf"
    assert last.seconds_left == 0


async def test_no_room_is_said_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    store = webllm_py.ModelsStore(MemoryBackend(limit=65 << 20))
    with hostile_server({"pocket.gguf": POCKET.read_bytes()}) as server:
        fetch = webllm_py.FetchOptions(store=store)
        with pytest.raises(StorageFullError, match="are missing"):
            await answer(server.url("pocket.gguf"), fetch)
        assert len(server.requests) < 4


async def test_what_came_damaged_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody told a digest: what is wrong is found by the model's reader alone."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    store = webllm_py.models_store(tmp_path)
    fetch = webllm_py.FetchOptions(store=store)
    data = POCKET.read_bytes()
    with hostile_server({"pocket.gguf": data[:24] + bytes([255] * 2000) + data[2024:]}) as server:
        url = server.url("pocket.gguf")
        with pytest.raises(CorruptCheckpointError):
            await answer(url, fetch)
        assert await store.size(url) == 0
        server.files["pocket.gguf"] = data
        assert await answer(url, fetch)


async def test_a_file_that_changes_while_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of the older one is given up; the newer one is loaded, unasked."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    fetch = webllm_py.FetchOptions(store=webllm_py.models_store(tmp_path))
    data = POCKET.read_bytes()
    with hostile_server({"pocket.gguf": data}) as server:
        server.etags["pocket.gguf"] = '"1"'

        class Watched(list[Any]):
            def append(self, request: Any) -> None:
                super().append(request)
                if len(self) == 3:
                    server.etags["pocket.gguf"] = '"2"'

        server.requests = Watched()
        assert await answer(server.url("pocket.gguf"), fetch)
        assert len(server.requests) > 6


async def test_weights_that_came_wrong_are_placed_again(
    device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their digest, in MLC's index, tells of it once all are on the GPU: an encoder's too."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = write_embedder_mlc(tmp_path / "model", CLS)
    fetch = webllm_py.FetchOptions(store=webllm_py.models_store(tmp_path / "store"))
    async with await webllm_py.load(folder, device=device) as engine:
        right = await vectors(engine, texts_of(CLS))
    with hostile_server({path.name: path.read_bytes() for path in folder.iterdir()}) as server:
        placed = []
        place = Loader.run

        async def watched(loader: Loader, *rest: Any) -> None:
            server.flips = int(not placed)  # in the first reply that holds weights
            await place(loader, *rest)
            placed.append(server.flips)

        monkeypatch.setattr(Loader, "run", watched)
        async with await webllm_py.load(server.url(), fetch=fetch, device=device) as engine:
            found = await vectors(engine, texts_of(CLS))
    assert placed == [0, 0]
    np.testing.assert_array_equal(found, right)
