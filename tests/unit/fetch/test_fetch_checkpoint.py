"""Checkpoints over HTTP: what is asked of the server."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from range_server import running_server

from webllm_py.checkpoint import open_checkpoint
from webllm_py.checkpoint.mlc_writer import MLCWriter
from webllm_py.errors import CorruptCheckpointError

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


def mlc_files(folder: Path) -> dict[str, bytes]:
    """A folder of one matrix and one vector, by its files' names."""
    numbers = {"model_type": "llama", "model_config": {"hidden_size": 32}}
    writer = MLCWriter("q4f16_1", {**numbers, "tokenizer_files": ["tokenizer.json"]})
    weight = np.linspace(-1, 1, 64 * 32, dtype=np.float32).reshape(64, 32)
    writer.add("model.embed_tokens.weight", weight)
    writer.add("model.norm.weight", weight[0])
    writer.write(folder)
    (folder / "tokenizer.json").write_bytes(b"{}")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_an_mlc_folder(tmp_path: Path) -> None:
    """A shard is asked for once, when it is read; what a folder need not have is not asked for."""
    with running_server() as server:
        server.files = mlc_files(tmp_path)
        checkpoint = await open_checkpoint(server.url("files/"))
        for tensor in checkpoint.tensors.values():
            await tensor.source.read_chunk(tensor.offset, tensor.nbytes)
        await checkpoint.verify()
        await checkpoint.close()
        damaged = bytearray(server.files["params_shard_0.bin"])
        damaged[7] ^= 1
        server.files["params_shard_0.bin"] = bytes(damaged)
        second = await open_checkpoint(server.url("files/"))
        with pytest.raises(CorruptCheckpointError, match=r"files/params_shard_0\.bin is damaged"):
            await second.verify()
        await second.close()
    asked = [path.rpartition("/")[2] for path, _ in server.requests]
    once = asked[: len(asked) // 2]
    assert once.count("params_shard_0.bin") == 1 and asked.count("params_shard_0.bin") == 2
    assert set(once) == {
        "config.json",
        "mlc-chat-config.json",
        "tensor-cache.json",
        "tokenizer.json",
        "params_shard_0.bin",
    }
