"""MLC folders: what becomes of config, index and shards, and what is said of damaged ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import copy
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import MemoryFolder

from webllm_py.checkpoint import Checkpoint, open_checkpoint
from webllm_py.checkpoint.mlc_writer import MLCWriter
from webllm_py.errors import (
    CorruptCheckpointError,
    MissingFileError,
    UnsupportedModelError,
    WebLLMError,
)

Files = dict[str, bytes]

CONFIG: dict[str, Any] = {
    "version": "0.1.0",
    "model_type": "llama",
    "quantization": "q4f16_1",
    "model_config": {
        "hidden_size": 64,
        "position_embedding_base": 5e5,
        "rms_norm_eps": 1e-5,
        "context_window_size": 512,
    },
    "context_window_size": 256,
    "sliding_window_size": -1,
    "temperature": 0.6,
    "top_p": 0.9,
    "repetition_penalty": 1.0,
    "bos_token_id": 1,
    "eos_token_id": [2, 3],
    "tokenizer_files": ["tokenizer.json", "tokenizer_config.json", "vocab.json"],
    "conv_template": {"name": "x", "stop_token_ids": [3, 9]},
}
CODES = np.arange(3 * 8, dtype=np.uint32)
SCALES = np.arange(3 * 2, dtype=np.float16)
NORM = np.arange(64, dtype=np.float16)
NAME = "model.embed_tokens"


def record(name: str, shape: list[int], dtype: str, nbytes: int, offset: int) -> dict[str, Any]:
    return {
        "name": name,
        "shape": shape,
        "dtype": dtype,
        "format": "f32-to-bf16",
        "nbytes": nbytes,
        "byteOffset": offset,
    }


def shard(number: int, data: bytes, *records: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataPath": f"params_shard_{number}.bin",
        "format": "raw-shard",
        "nbytes": len(data),
        "md5sum": md5(data).hexdigest(),
        "records": list(records),
    }


def small() -> tuple[dict[str, Any], dict[str, Any], Files]:
    """A config, an index and shards: a matrix of 3 x 64 in both, a norm."""
    first, second = CODES.tobytes(), NORM.tobytes() + SCALES.tobytes()
    index = {
        "metadata": {"ParamSize": 3},
        "records": [
            shard(0, first, record(f"{NAME}.q_weight", [3, 8], "uint32", 96, 0)),
            shard(
                1,
                second,
                record("model.norm.weight", [64], "float16", 128, 0),
                record(f"{NAME}.q_scale", [3, 2], "float16", 12, 128),
            ),
        ],
    }
    shards = {"params_shard_0.bin": first, "params_shard_1.bin": second}
    return json.loads(json.dumps(CONFIG)), index, shards


def folder_of(config: Any, index: Any, shards: Files, **options: Any) -> MemoryFolder:
    files = {
        "mlc-chat-config.json": json.dumps(config).encode(),
        "tensor-cache.json": json.dumps(index).encode(),
        "tokenizer.json": b"{}",
        "unrelated.json": b"{}",
        **shards,
    }
    return MemoryFolder(files, **options)


async def opened(config: Any, index: Any, shards: Files) -> Checkpoint:
    return await open_checkpoint(folder_of(config, index, shards))


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("name", ["tensor-cache.json", "ndarray-cache.json"])
async def test_what_the_files_say(name: str, lists: bool) -> None:
    folder = folder_of(*small(), lists=lists)
    folder.files = {**folder.files, name: folder.files["tensor-cache.json"]}
    if name == "ndarray-cache.json":
        del folder.files["tensor-cache.json"]
    checkpoint = await open_checkpoint(folder)
    assert (checkpoint.kind, checkpoint.name, checkpoint.architecture) == ("mlc", "tiny", "llama")
    config = checkpoint.metadata
    assert (config["rope_theta"], config["max_position_embeddings"]) == (5e5, 256)
    assert "sliding_window" not in config and config["hidden_size"] == 64
    assert json.loads(checkpoint.files["generation_config.json"]) == {
        "temperature": 0.6,
        "top_p": 0.9,
        "repetition_penalty": 1.0,
        "bos_token_id": 1,
        "eos_token_id": [2, 3, 9],
    }
    assert set(checkpoint.files) == {"tokenizer.json", "generation_config.json"}
    assert checkpoint.conversation == CONFIG["conv_template"]
    assert set(checkpoint.tensors) == {f"{NAME}.weight", "model.norm.weight"}
    matrix = checkpoint.tensors[f"{NAME}.weight"]
    assert (matrix.shape, matrix.format.name) == ((3, 64), "Q4F16_1")
    scales = matrix.companions["scales"]
    assert await matrix.source.read(matrix.offset, matrix.nbytes) == CODES.tobytes()
    assert await scales.source.read(scales.offset, scales.nbytes) == SCALES.tobytes()
    assert checkpoint.nbytes == 96 + 12 + 128
    await checkpoint.verify()
    await checkpoint.close()
    assert not any(source.open for source in folder.opened)


async def test_shards_are_opened_when_they_are_read() -> None:
    """Where files cannot be listed each would cost a request."""
    folder = folder_of(*small(), lists=False)
    checkpoint = await open_checkpoint(folder)
    assert not any(".bin" in source.name for source in folder.opened)
    await checkpoint.close()


@pytest.mark.parametrize(
    ("shape", "scales", "dtype", "found"),
    [
        ([3, 8], [3, 2], "float32", ((3, 64), "Q4F32_1")),
        ([3, 8], [3, 2], "bfloat16", ((3, 64), "Q4F32_1")),
        ([8, 3], [2, 3], "float16", ((3, 64), "Q4F16_0")),
        ([8, 3], [2, 3], "float32", ((3, 64), "Q4F32_0")),
    ],
)
async def test_layouts(shape: list[int], scales: list[int], dtype: str, found: Any) -> None:
    config, index, shards = small()
    index["records"][0]["records"][0]["shape"] = shape
    index["records"][1]["records"][1] |= {"shape": scales, "dtype": dtype}
    matrix = (await opened(config, index, shards)).tensors[f"{NAME}.weight"]
    assert (matrix.shape, matrix.format.name) == found
    assert matrix.companions["scales"].shape == (3, 2)


async def test_three_bits() -> None:
    config, index, shards = small()
    config["quantization"] = "q3f16_1"
    matrix = (await opened(config, index, shards)).tensors[f"{NAME}.weight"]
    assert (matrix.shape, matrix.format.name) == ((3, 80), "Q3F16_1")
    assert matrix.fitted((3, 41)).shape == (3, 41)
    for shape in ((3, 40), (3, 81), (2, 80), (80,)):
        assert matrix.fitted(shape) is matrix


async def test_windows() -> None:
    """The context of a model with a window is not told; Mistral 7B's is eight of them."""
    config, index, shards = small()
    config |= {"context_window_size": -1, "sliding_window_size": 128}
    config["model_config"]["context_window_size"] = -1
    metadata = (await opened(config, index, shards)).metadata
    assert (metadata["sliding_window"], metadata["max_position_embeddings"]) == (128, 1024)


async def test_older_names() -> None:
    """Of Phi, before transformers had it."""
    config, index, shards = small()
    numbers = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_inner": 128, "n_positions": 2048}
    more = {"rotary_dim": 8, "head_dim": 16, "layer_norm_epsilon": 1e-5}
    config |= {"model_type": "phi-msft", "model_config": {**numbers, **more}}
    checkpoint = await opened(config, index, shards)
    assert checkpoint.architecture == "phi"
    known = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": 2048,
        "partial_rotary_factor": 0.5,
        "layer_norm_eps": 1e-5,
    }
    assert known.items() <= dict(checkpoint.metadata).items()


async def test_nested_numbers() -> None:
    """Of Gemma 3, whose rope scaling of none is 0."""
    config, index, shards = small()
    config["model_config"] = {
        "vocab_size": 3,
        "text_config": {"hidden_size": 64, "rope_scaling": 0},
    }
    metadata = (await opened(config, index, shards)).metadata
    assert (metadata["vocab_size"], metadata["hidden_size"]) == (3, 64)
    assert "rope_scaling" not in metadata


@pytest.mark.parametrize(
    ("said", "modules", "pooling"),
    [
        ({}, 3, "cls"),
        ({"embedding_metadata": {"pooling_strategy": "mean", "normalize": False}}, 2, "mean"),
    ],
)
async def test_embedders(said: dict[str, Any], modules: int, pooling: str) -> None:
    config, index, shards = small()
    files = (await opened({**config, "model_type": "bert", **said}, index, shards)).files
    assert len(json.loads(files["modules.json"])) == modules
    assert json.loads(files["Pooling/config.json"])["pooling_mode"] == pooling


Change = Callable[[dict[str, Any], dict[str, Any], Files], Any]


def no_scales(config: dict[str, Any], index: dict[str, Any], shards: Files) -> None:
    index["records"][1]["records"].pop()


def twice(config: dict[str, Any], index: dict[str, Any], shards: Files) -> None:
    index["records"][1]["records"][1] |= {"name": "model.norm.weight"}


def set_record(shard: int, tensor: int, **fields: Any) -> Change:
    return lambda config, index, shards: index["records"][shard]["records"][tensor].update(fields)


def set_shard(number: int, **fields: Any) -> Change:
    return lambda config, index, shards: index["records"][number].update(fields)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda c, i, s: c.pop("model_type"), CorruptCheckpointError, "no model_type"),
        (lambda c, i, s: c.update(model_config=[]), CorruptCheckpointError, "no model_type and"),
        (lambda c, i, s: c.update(quantization="q4f16_ft"), UnsupportedModelError, "'q4f16_ft'"),
        (lambda c, i, s: c.update(context_window_size="x"), CorruptCheckpointError, "= 'x'"),
        (lambda c, i, s: i.pop("records"), CorruptCheckpointError, "no records"),
        (lambda c, i, s: i["records"].append(3), CorruptCheckpointError, "3 is no shard"),
        (lambda c, i, s: s.pop("params_shard_1.bin"), MissingFileError, "1 of the 2 .*_1.bin"),
        (
            lambda c, i, s: s.update({"params_shard_1.bin": bytes(139)}),
            CorruptCheckpointError,
            "_1.bin is incomplete: it has 139 bytes.* 140",
        ),
        (set_shard(0, dataPath="../x.bin"), CorruptCheckpointError, "not a file beside it"),
        (set_shard(0, dataPath="params_shard_1.bin"), CorruptCheckpointError, "shard .* twice"),
        (set_shard(0, md5sum="abc"), CorruptCheckpointError, "md5sum of params_shard_0.bin"),
        (set_shard(1, nbytes=130), CorruptCheckpointError, "reaches to byte 140"),
        (set_record(0, 0, shape=[3, -8]), CorruptCheckpointError, "no tensor with name"),
        (set_record(0, 0, shape=[3, 9]), CorruptCheckpointError, "needs 108"),
        (set_record(0, 0, byteOffset=1), CorruptCheckpointError, "reaches to byte 97"),
        (set_record(1, 1, byteOffset=120), CorruptCheckpointError, "overlaps the tensor"),
        (set_record(1, 0, dtype="int8"), UnsupportedModelError, r"int8 \(1 tensors\)"),
        (set_record(1, 1, dtype="float32", format="raw", nbytes=24), CorruptCheckpointError, "152"),
        (set_record(1, 1, shape=[2, 3]), CorruptCheckpointError, "do not belong together"),
        (no_scales, CorruptCheckpointError, "no scales"),
        (twice, CorruptCheckpointError, "12 bytes, but its shape|tensor .* twice"),
    ],
)  # fmt: skip
async def test_damage(change: Change, error: type[WebLLMError], message: str) -> None:
    files = small()
    change(*files)
    folder = folder_of(*files)
    with pytest.raises(error, match=message):
        await open_checkpoint(folder)
    assert not any(source.open for source in folder.opened)


async def test_float32_scales_are_refused() -> None:
    config, index, _ = small()
    data = NORM.tobytes() + SCALES.astype(np.float32).tobytes()
    index["records"][1] = shard(
        1,
        data,
        record("model.norm.weight", [64], "float16", 128, 0),
        {**record(f"{NAME}.q_scale", [3, 2], "float32", 24, 128), "format": "raw"},
    )
    shards = {"params_shard_0.bin": CODES.tobytes(), "params_shard_1.bin": data}
    with pytest.raises(UnsupportedModelError, match="4 bits with scales of F32"):
        await opened(config, index, shards)


async def test_no_index() -> None:
    folder = folder_of(*small())
    del folder.files["tensor-cache.json"]  # type: ignore[attr-defined]
    with pytest.raises(MissingFileError, match="the index of its weights is missing"):
        await open_checkpoint(folder)


async def test_a_shard_that_is_damaged_is_named() -> None:
    config, index, shards = small()
    shards["params_shard_1.bin"] = bytes(140)
    checkpoint = await opened(config, index, shards)
    with pytest.raises(CorruptCheckpointError, match=r"params_shard_1\.bin is damaged: its MD5"):
        await checkpoint.verify()


def exact(weight: np.ndarray, bits: int) -> np.ndarray:
    """The weight that is left of it: whole steps of a scale that float16 and bfloat16 hold."""
    zero = 2 ** (bits - 1) - 1
    codes = np.clip(np.rint(weight * zero), -zero, zero)
    codes[:, :: 32 if bits == 4 else 40] = zero  # so that the scale is 1/8
    return np.asarray(codes / 8, np.float32)


@pytest.mark.parametrize("label", ["q4f16_1", "q4f16_0", "q4f32_1", "q3f16_1", "q0f16", "q0f32"])
async def test_what_the_writer_writes(
    label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two shards and one for a large tensor; the tensors decode to what was given."""
    monkeypatch.setattr("webllm_py.checkpoint.mlc_writer.SHARD_BYTES", 9000)
    monkeypatch.setattr("webllm_py.checkpoint.mlc_writer.ALONE_BYTES", 8000)
    rng = np.random.default_rng(5)
    bits = 3 if label.startswith("q3") else 4
    shapes = {"small": (5, 70), "large": (80, 240), "other": (50, 33)}
    weights = {
        f"model.{name}.weight": exact(rng.uniform(-1, 1, shape), bits)
        for name, shape in shapes.items()
    }
    weights["model.norm.weight"] = np.arange(9, dtype=np.float32) / 4
    writer = MLCWriter(label, CONFIG)
    for name, weight in weights.items():
        writer.add(name, weight)
    with pytest.raises(ValueError, match="already"):
        writer.add(name, weight)
    writer.write(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    checkpoint = await open_checkpoint(tmp_path)
    for name, weight in weights.items():
        tensor = checkpoint.tensors[name].fitted(weight.shape)
        assert tensor.shape == weight.shape
        np.testing.assert_array_equal(await decoded(tensor, bits), weight, err_msg=name)
    await checkpoint.verify()
    await checkpoint.close()


async def decoded(tensor: Any, bits: int) -> np.ndarray:
    """Numpy's own reading of a tensor."""
    data = await tensor.source.read(tensor.offset, tensor.nbytes)
    if not tensor.companions:
        return raw_floats(data, tensor.format).reshape(tensor.shape)
    scales = tensor.companions["scales"]
    factors = raw_floats(await scales.source.read(scales.offset, scales.nbytes), scales.format)
    rows = tensor.shape[0]
    order = (-1, rows) if tensor.format.by_columns else (rows, -1)
    words, factors = np.frombuffer(data, np.uint32).reshape(order), factors.reshape(order)
    if tensor.format.by_columns:
        words, factors = words.T, factors.T
    codes = (words[..., None] >> np.arange(0, 32 // bits * bits, bits, dtype=np.uint32)) & (
        2**bits - 1
    )
    codes = codes.reshape(rows, -1).astype(np.float32) - (2 ** (bits - 1) - 1)
    each = np.repeat(factors, tensor.format.block_size, axis=1)
    return np.asarray((codes * each)[:, : tensor.shape[1]])


def raw_floats(data: bytes, format: Any) -> np.ndarray:
    if format.name == "F16":
        return np.frombuffer(data, np.float16).astype(np.float32)
    return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)


EXTREMES: list[Any] = [None, -1, 0, 2**31, 2**63, 1e300, True, "", "x", "../x", [], [0], {}, [[1]]]


def damaged(value: Any) -> Iterator[Any]:
    """The JSON value with one of its parts replaced by each extreme, or left out."""
    yield from EXTREMES
    if not isinstance(value, dict | list):
        return
    for key in range(len(value)) if isinstance(value, list) else list(value):
        less = copy(value)
        del less[key]
        yield less
        for other in damaged(value[key]):
            changed = copy(value)
            changed[key] = other
            yield changed


async def test_every_field_at_every_extreme() -> None:
    """Named errors only, and nothing left open."""
    config, index, shards = small()
    cases = [(bad, index) for bad in damaged(config)] + [(config, bad) for bad in damaged(index)]
    refused = 0
    for case in cases:
        folder = folder_of(*case, shards)
        try:
            checkpoint = await open_checkpoint(folder)
        except WebLLMError as error:
            assert str(error)
            refused += 1
        else:
            await checkpoint.close()
        assert not any(source.open for source in folder.opened)
    assert len(cases) > 1000 and refused > len(cases) // 3
