"""Which kind of model the given files are, and what is said of those that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_files import (
    SMALL_GGUF_DATA,
    MemoryFolder,
    MemorySource,
    safetensors_bytes,
    small_gguf,
)

from webllm_py.checkpoint import open_checkpoint
from webllm_py.errors import (
    CorruptCheckpointError,
    MissingFileError,
    NotAModelError,
    SeveralModelsError,
    SourceError,
    UnsupportedModelError,
    WebLLMError,
)

GGUF = small_gguf().bytes(SMALL_GGUF_DATA)
SAFETENSORS = safetensors_bytes({"a": ("F32", (2,))})
CONFIG = b'{"model_type": "llama"}'


@pytest.mark.parametrize(
    ("name", "data", "error", "message"),
    [
        ("a.safetensors", SAFETENSORS, MissingFileError, r"alone is not enough: config\.json"),
        ("odd name", SAFETENSORS, MissingFileError, "alone is not enough"),
        ("config.json", CONFIG, MissingFileError, "Give the folder that holds them all"),
        ("pytorch_model.bin", b"PK\3\4" + bytes(99), UnsupportedModelError, "run any code"),
        ("x.pt", bytes(99), UnsupportedModelError, "PyTorch pickle.* safetensors .* GGUF"),
        ("https://h/x.bin?sig=1", bytes(99), UnsupportedModelError, "PyTorch pickle"),
        ("x", b"\x80\x02}q\x00" + bytes(99), UnsupportedModelError, "PyTorch pickle"),
        ("x.onnx", b"\x08\x07" + bytes(99), UnsupportedModelError, "ONNX file"),
        ("x.zip", b"PK\3\4" + bytes(99), UnsupportedModelError, "archive: unpack it"),
        ("x.gguf", b"tjgg\3\0\0\0" + bytes(99), UnsupportedModelError, "GGML file from before"),
        ("x.gguf", b"<!DOCTYPE html><html>", NotAModelError, "a web page, not a model"),
        ("x.gguf", b"version https://git-lfs", MissingFileError, "git lfs pull"),
        ("x.gguf", b"gguf" + bytes(99), NotAModelError, r"begins with b'gguf"),
        ("x.gguf", bytes(99), NotAModelError, "is no model file"),
        ("notes.txt", b"Hello\n", NotAModelError, r"is no model file: it begins with b'Hello"),
        ("x.zip", b"PK\5\6", UnsupportedModelError, "archive: unpack it"),
        ("x.gguf", b"GGU", CorruptCheckpointError, "has only 3 bytes: it is incomplete"),
    ],
)
async def test_files_that_are_no_gguf(
    name: str, data: bytes, error: type[WebLLMError], message: str
) -> None:
    source = MemorySource(data, name)
    with pytest.raises(error, match=message):
        await open_checkpoint(source)
    assert not source.open


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({"config.json": CONFIG, "model.safetensors": SAFETENSORS}, "huggingface"),
        ({"README.md": b"", "tiny.Q8_0.gguf": GGUF}, "gguf"),
        ({"config.json": CONFIG, "tiny.gguf": GGUF}, "gguf"),
        ({"config.json": CONFIG, "model.safetensors": SAFETENSORS, "b.gguf": GGUF}, "huggingface"),
        ({"config.json": CONFIG, "model.safetensors": SAFETENSORS, "b.bin": b""}, "huggingface"),
    ],
)
async def test_folders(files: dict[str, bytes], kind: str) -> None:
    checkpoint = await open_checkpoint(MemoryFolder(files))
    assert checkpoint.kind == kind
    await checkpoint.close()


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ([], MissingFileError, r"holds no config\.json"),
        (["x.txt", "y.txt"], MissingFileError, r"holds no config\.json.*It holds: x\.txt, y\.txt"),
        (["config.json"], MissingFileError, r"holds no model\.safetensors"),
        (["model.safetensors"], MissingFileError, r"holds no config\.json"),
        (["a.gguf", "b.GGUF"], SeveralModelsError, r"2 \.gguf files; give one .*a\.gguf, b\.GGUF"),
        (["mlc-chat-config.json"], CorruptCheckpointError, "no model_type and model_config"),
        (["config.json", "pytorch_model.bin"], UnsupportedModelError, "model.bin.*any code"),
        (["config.json", "a.onnx"], UnsupportedModelError, "ONNX model"),
    ],
)  # fmt: skip
async def test_folders_that_are_no_model(
    files: list[str], error: type[WebLLMError], message: str
) -> None:
    with pytest.raises(error, match=message):
        await open_checkpoint(MemoryFolder(dict.fromkeys(files, CONFIG)))


async def test_folders_that_cannot_be_listed() -> None:
    pickled = dict.fromkeys(("config.json", "pytorch_model.bin"), CONFIG)
    with pytest.raises(UnsupportedModelError, match=r"model\.bin, a PyTorch pickle"):
        await open_checkpoint(MemoryFolder(pickled, lists=False))
    with pytest.raises(CorruptCheckpointError, match=r"mlc-chat-config\.json of .*model_config"):
        await open_checkpoint(MemoryFolder({"mlc-chat-config.json": b"{}"}, lists=False))
    with pytest.raises(MissingFileError, match=r"holds no config\.json"):
        await open_checkpoint(MemoryFolder({"a.gguf": GGUF}, lists=False))


async def test_paths(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(GGUF)
    for source in (tmp_path, tmp_path / "tiny.gguf", str(tmp_path / "tiny.gguf")):
        checkpoint = await open_checkpoint(source)
        assert (checkpoint.kind, checkpoint.name) == ("gguf", "tiny")
        await checkpoint.close()
    with pytest.raises(SourceError, match="there is no file or folder"):
        await open_checkpoint(tmp_path / "other.gguf")
