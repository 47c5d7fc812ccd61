"""MLC folders: what becomes of config, index and shards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mlc_files import CODES, CONFIG, NAME, SCALES, folder_of, opened, small

from webllm_py.checkpoint import open_checkpoint


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
    assert config["sliding_window"] is None and config["hidden_size"] == 64
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
