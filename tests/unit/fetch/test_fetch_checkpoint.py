"""Checkpoints over HTTP: what is asked of the server."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from range_server import running_server

from webllm_py.checkpoint import open_checkpoint

CHECKPOINTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "checkpoints"

pytestmark = pytest.mark.skipif(
    not CHECKPOINTS.exists(), reason=f"the shared test data is missing: {CHECKPOINTS}"
)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


async def test_a_gguf_file_takes_one_request_to_the_last_tensor() -> None:
    with running_server() as server:
        server.files["s.gguf"] = (CHECKPOINTS / "stories260K" / "stories260K.gguf").read_bytes()
        checkpoint = await open_checkpoint(server.url("files/s.gguf"))
        crc = 0
        for tensor in checkpoint.tensors.values():
            crc = zlib.crc32(await tensor.source.read_chunk(tensor.offset, tensor.nbytes), crc)
        await checkpoint.close()
    assert crc == zlib.crc32(server.files["s.gguf"][14176:])  # there is no padding in between
    assert server.requests == [("/files/s.gguf", "bytes=0-")]


async def test_a_folder() -> None:
    folder = CHECKPOINTS / "TinyStories-656K"
    with running_server() as server:
        server.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        checkpoint = await open_checkpoint(server.url("files/"))
        norm = checkpoint.tensors["model.norm.weight"]
        assert zlib.crc32(await norm.source.read(norm.offset, norm.nbytes)) == 2257343507
        assert len(checkpoint.files) == 4
        await checkpoint.close()
    asked = [path.rpartition("/")[2] for path, _ in server.requests]
    assert "vocab.json" not in asked and "model.safetensors.index.json" not in asked
    assert len(asked) < 15
