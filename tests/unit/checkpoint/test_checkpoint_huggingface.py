"""Hugging Face folders: a real one, ones put together here, and each thing that can be wrong."""

from __future__ import annotations

import json
import math
import struct
import zlib
from typing import Any

import pytest
from checkpoint_files import MemoryFolder, raw_safetensors, safetensors_bytes, shared

from webllm_py.checkpoint import Checkpoint, open_checkpoint
from webllm_py.errors import (
    CheckpointError,
    CorruptCheckpointError,
    MissingFileError,
    UnsupportedModelError,
)

CONFIG = json.dumps({"model_type": "qwen2", "hidden_size": 8}).encode()
TENSORS = {"a.weight": ("F32", (4, 8)), "b.weight": ("BF16", (3,)), "c": ("F16", (2, 2, 2))}
INDEX = "model.safetensors.index.json"


async def opened(files: dict[str, bytes], **kwargs: Any) -> Checkpoint:
    folder = MemoryFolder({"config.json": CONFIG} | files, **kwargs)
    try:
        checkpoint = await open_checkpoint(folder)
    except CheckpointError:
        assert not any(source.open for source in folder.opened)
        raise
    still_open = [source for source in folder.opened if source.open]
    assert tuple(still_open) == checkpoint.sources
    return checkpoint


def one(header: dict[str, Any] | bytes, data: int = 0) -> dict[str, bytes]:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return {"model.safetensors": raw_safetensors(text, bytes(data))}


async def test_tinystories() -> None:
    """Numbers of the file's bytes, read with struct and json alone."""
    checkpoint = await open_checkpoint(shared("checkpoints/TinyStories-656K"))
    assert checkpoint.kind == "huggingface"
    assert (checkpoint.name, checkpoint.architecture) == ("TinyStories-656K", "llama")
    assert checkpoint.metadata["num_key_value_heads"] == 4
    assert checkpoint.metadata["rope_scaling"] is None
    assert set(checkpoint.files) == {
        "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "generation_config.json",
    }  # fmt: skip
    assert len(checkpoint.files["tokenizer.json"]) == 86434
    assert checkpoint.chat_template is None
    assert len(checkpoint.tensors) == 20 and checkpoint.nbytes == 2624000
    for name, shape, offset, crc, first in [
        ("lm_head.weight", (2048, 128), 2168, 4199291861, -0.68359375),
        ("model.layers.1.mlp.down_proj.weight", (128, 384), 1838712, 4154647806, -0.17578125),
        ("model.norm.weight", (128,), 2625656, 2257343507, 0.640625),
    ]:
        tensor = checkpoint.tensors[name]
        assert (tensor.shape, tensor.offset, tensor.format.name) == (shape, offset, "F32")
        data = await tensor.source.read_chunk(tensor.offset, tensor.nbytes)
        assert zlib.crc32(data) == crc
        assert struct.unpack_from("<f", data)[0] == first
    await checkpoint.close()


@pytest.mark.parametrize("lists", [True, False])
async def test_single_file(lists: bool) -> None:
    weights = safetensors_bytes(TENSORS, metadata={"format": "pt"})
    checkpoint = await opened({"model.safetensors": weights}, lists=lists)
    assert (checkpoint.name, checkpoint.architecture) == ("tiny", "qwen2")
    assert checkpoint.metadata["hidden_size"] == 8
    start = 8 + int.from_bytes(weights[:8], "little")
    tensors = checkpoint.tensors.values()
    assert [(t.name, t.shape, t.format.name, t.offset, t.nbytes) for t in tensors] == [
        ("a.weight", (4, 8), "F32", start, 128),
        ("b.weight", (3,), "BF16", start + 128, 6),
        ("c", (2, 2, 2), "F16", start + 134, 16),
    ]


async def test_scalars_and_empty_tensors_are_allowed() -> None:
    header = {
        "scalar": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        "empty": {"dtype": "F32", "shape": [0, 4], "data_offsets": [4, 4]},
    }
    checkpoint = await opened(one(header, 4))
    assert {name: t.nbytes for name, t in checkpoint.tensors.items()} == {"scalar": 4, "empty": 0}


@pytest.mark.parametrize("lists", [True, False])
async def test_shards(lists: bool) -> None:
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    files = {
        INDEX: json.dumps(
            {"metadata": {}, "weight_map": {"a": names[0], "b": names[1], "c": names[0]}}
        ).encode(),
        names[0]: safetensors_bytes({"a": ("F32", (2,)), "c": ("F16", (4,))}),
        names[1]: safetensors_bytes({"b": ("BF16", (2,))}),
    }
    checkpoint = await opened(files, lists=lists)
    assert {name: t.source.name for name, t in checkpoint.tensors.items()} == {
        "a": f"/models/tiny/{names[0]}",
        "b": f"/models/tiny/{names[1]}",
        "c": f"/models/tiny/{names[0]}",
    }
    assert len(checkpoint.sources) == 2


# Templates and text files


TEMPLATES = [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]


@pytest.mark.parametrize(
    ("files", "default", "named"),
    [
        ({}, None, {}),
        ({"tokenizer_config.json": {}}, None, {}),
        ({"tokenizer_config.json": {"chat_template": None}}, None, {}),
        ({"tokenizer_config.json": {"chat_template": "C"}}, "C", {}),
        ({"tokenizer_config.json": {"chat_template": TEMPLATES}}, "D", {"tool_use": "T"}),
        ({"chat_template.json": {"chat_template": "P"}}, "P", {}),
        (
            {
                "chat_template.json": {"chat_template": "P"},
                "tokenizer_config.json": {"chat_template": "C"},
            },
            "C",
            {},
        ),
        (
            {"tokenizer_config.json": {"chat_template": TEMPLATES}, "chat_template.jinja": "J é"},
            "J é",
            {"tool_use": "T"},
        ),
        (
            {"chat_template.jinja": "J", "additional_chat_templates/tool_use.jinja": "U"},
            "J",
            {"tool_use": "U"},
        ),
    ],
)
async def test_chat_templates(files: dict[str, Any], default: Any, named: Any) -> None:
    encoded = {
        name: (text if isinstance(text, str) else json.dumps(text)).encode()
        for name, text in files.items()
    }
    checkpoint = await opened(encoded | {"model.safetensors": safetensors_bytes(TENSORS)})
    assert (checkpoint.chat_template, checkpoint.named_templates) == (default, named)
    assert checkpoint.files == encoded


async def test_older_tokenizer_files_are_read_where_tokenizer_json_is_missing() -> None:
    old = {"vocab.json": b"{}", "merges.txt": b"#", "tokenizer.model": b"\x0a"}
    other = {"added_tokens.json": b"{}", "model.safetensors": safetensors_bytes(TENSORS)}
    assert (await opened(old | other)).files == old | {"added_tokens.json": b"{}"}
    new = {"tokenizer.json": b"{}"}
    checkpoint = await opened(new | old | other)
    assert checkpoint.files == new | {"added_tokens.json": b"{}"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"chat_template.jinja": b"\xff"}, r"chat_template\.jinja of .* not valid UTF-8"),
        ({"tokenizer_config.json": b"{"}, r"tokenizer_config\.json of .* not valid JSON"),
        ({"tokenizer_config.json": b"[]"}, r"tokenizer_config\.json .* no object: list"),
        ({"tokenizer_config.json": b'{"chat_template": 7}'}, "neither a text nor"),
        ({"tokenizer_config.json": b'{"chat_template": [{"name": "x"}]}'}, "neither a text nor"),
    ],
)
async def test_bad_text_files(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(CorruptCheckpointError, match=message):
        await opened(files | {"model.safetensors": safetensors_bytes(TENSORS)})


async def test_a_byte_order_mark_in_front_of_a_config() -> None:
    for mark in (b"", b"\xef\xbb\xbf"):
        files = {"config.json": mark + b"[]", "model.safetensors": safetensors_bytes(TENSORS)}
        with pytest.raises(CorruptCheckpointError, match="is JSON, but no object"):
            await opened(files)


# What is refused


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (b"", CorruptCheckpointError, r"config\.json of /models/tiny is not valid JSON"),
        (b"\xff\xfe", CorruptCheckpointError, "is not valid JSON"),
        (b"[]", CorruptCheckpointError, "is JSON, but no object: list"),
        (b'{"a": 1, "a": 2}', CorruptCheckpointError, "the key 'a' appears twice"),
        (b"{}", UnsupportedModelError, "names no model_type"),
        (b'{"model_type": 7}', UnsupportedModelError, "names no model_type"),
        (
            b'{"architectures": ["LlamaForCausalLM"]}',
            UnsupportedModelError,
            "LlamaForCausalLM.* is all it says",
        ),
        (
            b'{"model_type": "deepseek_vl", "language_config": {"model_type": "llama"}}',
            UnsupportedModelError,
            "model of several parts .'deepseek_vl'.* language_config",
        ),
        (
            b'{"model_type": "llama", "quantization_config": {"quant_method": "gptq"}}',
            UnsupportedModelError,
            "quantized by 'gptq'.*quantize=\"q4\"",
        ),
    ],
)
async def test_bad_config(config: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        await opened({"config.json": config, "model.safetensors": safetensors_bytes(TENSORS)})


A = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"model.safetensors": b"1234567"}, "has only 7 bytes"),
        ({"model.safetensors": struct.pack("<Q", 100) + b"{}"}, "inside its header of 100 bytes"),
        ({"model.safetensors": struct.pack("<Q", 1 << 40)}, "header of 1099511627776 bytes"),
        (one(b"not json"), "not valid JSON"),
        (one(b"{\xff}"), "not valid JSON"),
        (one(b"[1]"), "no object: list"),
        (one({"__metadata__": []}), "__metadata__ .* is no JSON object"),
        (one(b'{"a": 1, "a": 1}'), "the key 'a' appears twice"),
        (one({"a": 5}), "'a' has no dtype, shape and data_offsets"),
        (one({"a": {"dtype": "F32", "shape": [2]}}, 8), "'a' has no dtype, shape"),
        (one({"a": A | {"shape": [-2]}}, 8), r"'a' has the shape \[-2\]"),
        (one({"a": A | {"shape": 2}}, 8), "'a' has the shape 2"),
        (one({"a": A | {"shape": [2**40, 2**40]}}, 8), "more than 2"),
        (one({"a": A | {"data_offsets": [8]}}, 8), r"'a' has the data_offsets \[8\]"),
        (one({"a": A | {"data_offsets": [8, 0]}}, 8), "'a' has -8 bytes, but its shape .* needs 8"),
        (
            one({"a": A | {"shape": [3]}}, 8),
            r"'a' has 8 bytes, but its shape \[3\] of F32 needs 12",
        ),
        (one({"a": A, "b": A}, 8), "'b' overlaps tensor 'a'"),
        (one({"a": A | {"data_offsets": [4, 12]}}, 12), "'a' leaves a gap after the header"),
        (one({"a": A}, 7), r"incomplete: .* tensor 'a' reaches to .*\(1 bytes are missing"),
        (one({"a": A}, 9), "has 1 bytes behind its last tensor"),
    ],
)
async def test_bad_safetensors(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(CorruptCheckpointError, match=message):
        await opened(files)


async def test_masks_of_attention_are_let_through() -> None:
    """Pythia's, that no model reads."""
    mask = {"gpt_neox.layers.0.attention.bias": ("U8", (1, 1, 4, 4)), "a": ("F32", (1,))}
    checkpoint = await opened({"model.safetensors": safetensors_bytes(mask)})
    assert len(checkpoint.tensors) == 2
    await checkpoint.close()


async def test_dtypes_that_are_not_run_are_all_named() -> None:
    weights = safetensors_bytes(
        {"a": ("I64", (1,)), "b": ("F8_E4M3", (2,)), "c": ("I64", (2,)), "d": ("F32", (1,))}
    )
    with pytest.raises(UnsupportedModelError, match=r"I64 \(2 tensors\), F8_E4M3 \(1 tensors\)"):
        await opened({"model.safetensors": weights})


async def test_constants_that_count_are_no_obstacle() -> None:
    ids = {"embeddings.position_ids": ("I64", (1, 4)), "a": ("F32", (1,))}
    checkpoint = await opened({"model.safetensors": safetensors_bytes(ids)})
    assert set(checkpoint.tensors) == set(ids)
    with pytest.raises(UnsupportedModelError, match=r"F64 \(1 tensors\)"):
        await opened({"model.safetensors": safetensors_bytes({"position_ids": ("F64", (4,))})})


@pytest.mark.parametrize("names", [("modules.json",), ("modules.json", "1_Pooling/config.json")])
@pytest.mark.parametrize("architecture", ["bert", "llama"])
async def test_files_of_text_embedders(architecture: str, names: tuple[str, ...]) -> None:
    config = json.dumps({"model_type": architecture}).encode()
    files = {"config.json": config, "model.safetensors": safetensors_bytes(TENSORS)}
    checkpoint = await opened(files | dict.fromkeys(names, b"{}"))
    assert set(checkpoint.files) == (set(names) if architecture == "bert" else set())


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (b"{", CorruptCheckpointError, "not valid JSON"),
        (b"{}", CorruptCheckpointError, "no weight_map"),
        (b'{"weight_map": {}}', CorruptCheckpointError, "no weight_map"),
        (b'{"weight_map": {"a": 1}}', CorruptCheckpointError, "names 1 for 'a'"),
        (b'{"weight_map": {"a": "../x.safetensors"}}', CorruptCheckpointError, "not a .safe"),
        (b'{"weight_map": {"a": "x.bin"}}', CorruptCheckpointError, "not a .safe"),
        (b'{"weight_map": {"a": "2.safetensors"}}', MissingFileError, r"holds no 2\.safetensors"),
        (
            b'{"weight_map": {"a": "1.safetensors", "z": "1.safetensors"}}',
            CorruptCheckpointError,
            r"1 tensors that .* the first is 'z' in 1\.safetensors",
        ),
        (
            b'{"weight_map": {"a": "1.safetensors", "b": "3.safetensors"}}',
            CorruptCheckpointError,
            r"3\.safetensors holds 'a' a second time",
        ),
    ],
)  # fmt: skip
async def test_bad_index(index: bytes, error: type[Exception], message: str) -> None:
    files = {
        INDEX: index,
        "1.safetensors": safetensors_bytes({"a": ("F32", (2,))}),
        "3.safetensors": safetensors_bytes({"a": ("F32", (2,)), "b": ("F32", (2,))}),
    }
    with pytest.raises(error, match=message):
        await opened(files)


MXFP4 = json.dumps({"model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"}})


async def test_mxfp4() -> None:
    """Two tensors are one, whose scales come with it."""
    header = {
        "w_blocks": {"dtype": "U8", "shape": [2, 3, 1, 16], "data_offsets": [0, 96]},
        "w_scales": {"dtype": "U8", "shape": [2, 3, 1], "data_offsets": [96, 102]},
    }
    checkpoint = await opened({"config.json": MXFP4.encode(), **one(header, 102)})
    [(name, tensor)] = checkpoint.tensors.items()
    assert (name, tensor.shape, tensor.stored_bytes) == ("w", (2, 3, 32), 102)
    await checkpoint.close()


@pytest.mark.parametrize("scales", [None, [2, 3], [2, 3, 2]])
async def test_bad_mxfp4(scales: list[int] | None) -> None:
    header = {"w_blocks": {"dtype": "U8", "shape": [2, 3, 1, 16], "data_offsets": [0, 96]}}
    size = 96
    if scales:
        size += math.prod(scales)
        header["w_scales"] = {"dtype": "U8", "shape": scales, "data_offsets": [96, size]}
    with pytest.raises(CorruptCheckpointError, match=r"w_blocks of shape .* has scales of shape"):
        await opened({"config.json": MXFP4.encode(), **one(header, size)})
