"""Models of the hub in the store: pinned, verified, offline; mirrors, tokens, the hub's cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hostile_server import HostileServer, hostile_server

from webllm_py.errors import MissingFileError, SourceError
from webllm_py.fetch import ByteSource, Folder, resolve
from webllm_py.fetch.backends.folder_backend import FolderBackend
from webllm_py.fetch.files.local import LocalFile, LocalFolder
from webllm_py.fetch.options import FetchOptions
from webllm_py.fetch.store.models_store import ModelsStore

COMMITS = ("a" * 40, "b" * 40)
WEIGHTS = bytes(range(256)) * 5000


def published(commit: str, weights: bytes) -> dict[str, bytes]:
    """What the hub serves of a repository whose main is at a commit."""
    sha256 = hashlib.sha256(weights).hexdigest()
    siblings = [
        {"rfilename": "config.json"},
        {"rfilename": "sub/m.gguf", "lfs": {"sha256": sha256, "size": len(weights)}},
    ]
    listing = json.dumps({"sha": commit, "siblings": siblings}).encode()
    return {
        "api/models/org/name/revision/main": listing,
        f"org/name/resolve/{commit}/config.json": commit.encode(),
        f"org/name/resolve/{commit}/sub/m.gguf": weights,
    }


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HostileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with hostile_server(published(COMMITS[0], WEIGHTS)) as server:
        yield server


@pytest.fixture
def options(server: HostileServer, tmp_path: Path) -> FetchOptions:
    store = ModelsStore(FolderBackend(tmp_path / "models"))
    return FetchOptions(endpoint=server.url().rstrip("/"), store=store, tries=1)


async def text_of(folder: ByteSource | Folder, filename: str) -> bytes:
    assert isinstance(folder, Folder)
    file = await folder.open(filename)
    try:
        return await file.read_all(1 << 23)
    finally:
        await file.close()


async def test_a_revision_is_pinned_and_read_offline(
    server: HostileServer, options: FetchOptions
) -> None:
    folder = await resolve("hf:org/name", options)
    assert isinstance(folder, Folder)
    assert await folder.list() == ["config.json", "sub/m.gguf"]
    assert await text_of(folder, "config.json") == b"a" * 40
    server.files.update(published(COMMITS[1], WEIGHTS[::-1]))
    assert await text_of(folder, "sub/m.gguf") == WEIGHTS
    asked = len(server.requests)
    again = await resolve("hf:org/name", options)
    assert await text_of(again, "sub/m.gguf") == WEIGHTS
    assert not await again.exists("other")  # type: ignore[union-attr]
    with pytest.raises(MissingFileError):
        await text_of(again, "tokenizer.json")
    assert len(server.requests) == asked
    assert await options.store.has("hf:org/name")


async def test_refresh_takes_the_newer_revision(
    server: HostileServer, options: FetchOptions
) -> None:
    assert await text_of(await resolve("hf:org/name:sub/", options), "m.gguf") == WEIGHTS
    server.files.update(published(COMMITS[1], WEIGHTS[::-1]))
    newer = FetchOptions(**{**options.__dict__, "refresh": True})
    assert await text_of(await resolve("hf:org/name:sub/", newer), "m.gguf") == WEIGHTS[::-1]
    assert await text_of(await resolve("hf:org/name:sub/", options), "m.gguf") == WEIGHTS[::-1]


async def test_one_file_and_what_is_beside_it(server: HostileServer, options: FetchOptions) -> None:
    file = await resolve("hf:org/name:sub/m.gguf", options)
    assert isinstance(file, ByteSource)
    assert await file.read_all(1 << 23) == WEIGHTS
    await file.close()
    with pytest.raises(MissingFileError):
        await resolve("hf:org/name:none.gguf", options)


async def test_a_token_goes_to_the_hub_alone(options: FetchOptions) -> None:
    given = FetchOptions(endpoint=options.endpoint, token="secret")
    assert given.headers(f"{given.hub}/org/x") == {"Authorization": "Bearer secret"}
    assert given.headers("https://elsewhere.invalid/org/x") == {}
    assert given.headers(f"{given.hub}.invalid/x") == {}


async def test_a_token_is_sent(
    server: HostileServer, options: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    await text_of(await resolve("hf:org/name", options), "config.json")
    assert set(server.authorized) == {"Bearer secret"}


async def test_the_environments_mirror(
    server: HostileServer, options: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url())
    chosen = FetchOptions(store=options.store)
    assert await text_of(await resolve("hf:org/name", chosen), "config.json") == b"a" * 40


@pytest.mark.parametrize("keep", [True, False])
async def test_a_file_by_its_quantization(
    server: HostileServer, options: FetchOptions, keep: bool
) -> None:
    names = [
        *("m-Q4_K.gguf", "m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"),
        *("m-Q8_0.gguf", "mmproj-m-f16.gguf", "config.json"),
    ]
    listing = {"sha": COMMITS[0], "siblings": [{"rfilename": name} for name in names]}
    server.files["api/models/org/name/revision/main"] = json.dumps(listing).encode()
    server.files["org/name/resolve/main/config.json"] = b"{}"
    options = replace(options, keep=keep)
    folder = await resolve("hf:org/name:q4_k_m", options)
    assert isinstance(folder, Folder)
    assert await folder.list() == sorted({*names[1:3], *names[4:]})
    assert await text_of(folder, "config.json")
    kept = [model.source for model in await options.store.list()]
    assert kept == ["https://huggingface.co/org/name/resolve/main/#Q4_K_M"] * keep
    for source in kept:
        again = await resolve(source, options)
        assert await again.list() == await folder.list()  # type: ignore[union-attr]
    for tag in ("Q5_K_M", "f16", "m"):
        lacking = await resolve(f"hf:org/name:{tag}", options)
        assert isinstance(lacking, Folder)
        if tag == "m":  # the name of all of them, but for what belongs to each
            assert await lacking.list() == sorted(names)
            continue
        with pytest.raises(MissingFileError, match=rf"no \.gguf file of '{tag}'; it has: m-Q4_K"):
            await lacking.list()


async def test_a_mirror_without_a_listing(server: HostileServer, options: FetchOptions) -> None:
    server.files = {"org/name/resolve/main/config.json": b"{}"}
    folder = await resolve("hf:org/name", options)
    assert await text_of(folder, "config.json") == b"{}"
    with pytest.raises(MissingFileError):
        await text_of(folder, "other")
    tagged = await resolve("hf:org/name:Q8_0", options)
    with pytest.raises(MissingFileError, match="cannot be listed; give the file's name"):
        await tagged.list()  # type: ignore[union-attr]


async def test_what_cannot_be_had_is_no_model_of_the_store(
    server: HostileServer, options: FetchOptions
) -> None:
    server.files = {}
    with pytest.raises(MissingFileError):
        await resolve("hf:org/name:m.gguf", options)
    file = await resolve(server.url("m.gguf"), options)
    assert isinstance(file, ByteSource)
    with pytest.raises(SourceError, match="404"):
        await file.read_all(9)
    await file.close()
    folder = await resolve(server.url("folder/"), options)
    with pytest.raises(MissingFileError):
        await text_of(folder, "config.json")
    nobody = replace(options, endpoint="http://127.0.0.1:9", tries=1)
    tagged = await resolve("hf:org/name:Q8_0", nobody)
    with pytest.raises(SourceError, match="no connection"):
        await tagged.list()  # type: ignore[union-attr]
    assert await options.store.list() == []


async def test_the_hubs_own_cache_comes_first(
    server: HostileServer, options: FetchOptions, tmp_path: Path
) -> None:
    folder = tmp_path / "hub" / "models--org--name"
    snapshot = folder / "snapshots" / COMMITS[0]
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMITS[0])
    (snapshot / "config.json").write_text("{}")
    incomplete = await resolve("hf:org/name", options)
    assert not isinstance(incomplete, LocalFolder)
    (snapshot / "model.safetensors").write_bytes(b"abc")
    for source in ("hf:org/name", f"hf:org/name@{COMMITS[0]}"):
        found = await resolve(source, options)
        assert isinstance(found, LocalFolder)
        assert await text_of(found, "model.safetensors") == b"abc"
    file = await resolve("hf:org/name:model.safetensors", options)
    assert isinstance(file, LocalFile)
    await file.close()
    (snapshot / "m.Q8_0.gguf").write_bytes(b"GGUF")
    tagged = await resolve("hf:org/name:Q8_0", options)
    assert await text_of(tagged, "m.Q8_0.gguf") == b"GGUF"
    assert server.requests == []


async def test_only_models_of_servers_are_in_the_store(options: FetchOptions) -> None:
    with pytest.raises(SourceError, match="only models of servers"):
        await options.store.has("some/folder")
