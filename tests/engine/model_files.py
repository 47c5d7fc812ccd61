"""Writes the made models as files: Hugging Face folders, by hand, and GGUF."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from formats import gguf_bytes, to_bf16
from made_models import Spec, Weights, gguf_tensor_name, weights_of
from reference import rotary_frequencies

from webllm_py.checkpoint import GGUFWriter, ValueType
from webllm_py.checkpoint.mlc_export import chat_config, exported
from webllm_py.checkpoint.mlc_writer import MLCWriter

__all__ = [
    "TYPES",
    "Files",
    "gguf_writer",
    "interleaved",
    "tokenizer_json",
    "tokenizer_keys",
    "write_folder",
    "write_gguf",
    "write_mlc",
    "write_safetensors",
]

BYTES = 256


def byte_characters() -> list[str]:
    """The printable character that byte-level BPE (GPT-2) writes for each byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = iter(range(256, 2 * BYTES))
    return [chr(byte if byte in shown else next(moved)) for byte in range(BYTES)]


def tokenizer_json() -> dict[str, Any]:
    """A token a byte, no merges, then BOS (256), which begins every text, and EOS (257)."""
    added = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": 256, "content": "<s>", **added},
            {"id": 257, "content": "</s>", **added},
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]}},
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {character: byte for byte, character in enumerate(byte_characters())},
            "merges": [],
        },
    }


def encoded(dtype: str, weight: np.ndarray) -> bytes:
    """A float tensor as safetensors stores it."""
    match dtype:
        case "F32":
            return weight.astype(np.float32).tobytes()
        case "F16":
            return weight.astype(np.float16).tobytes()
        case "BF16":
            return to_bf16(weight).tobytes()
    raise ValueError(dtype)


# Of arrays that are stored as they are.
KEPT = {"int32": "I32", "uint8": "F8_E4M3", "uint16": "BF16", "float16": "F16"}


def write_safetensors(path: Path, weights: Weights, dtype: str) -> None:
    """Floats of 32 bits in ``dtype``, other arrays by their own."""
    header: dict[str, Any] = {}
    data = b""
    for name, weight in weights.items():
        kept = KEPT.get(weight.dtype.name)
        if kept == "F8_E4M3" and not name.endswith(".weight"):
            kept = "U8"
        piece = weight.tobytes() if kept else encoded(dtype, weight)
        header[name] = {
            "dtype": kept or dtype,
            "shape": list(weight.shape),
            "data_offsets": [len(data), len(data) + len(piece)],
        }
        data += piece
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def config_json(spec: Spec) -> dict[str, Any]:
    """llama's as transformers 4 writes it, qwen2's as version 5 does."""
    config = spec.config
    if spec.architecture == "qwen2":
        rope = config.pop("rope_scaling") or {"rope_type": "default"}
        config["rope_parameters"] = {"rope_theta": config.pop("rope_theta"), **rope}
    return config


def write_folder(
    folder: Path,
    spec: Spec,
    weights: Weights,
    dtype: str = "F32",
    *,
    shards: int = 1,
    config: dict[str, Any] | None = None,
) -> Path:
    """A Hugging Face folder; returns it.

    Args:
        config: config.json, in place of ``config_json(spec)``.
    """
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config or config_json(spec)))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    if shards == 1:
        write_safetensors(folder / "model.safetensors", weights, dtype)
        return folder
    files: dict[str, str] = {}
    for i in range(shards):
        part = dict(list(weights.items())[i::shards])
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        write_safetensors(folder / file, part, dtype)
        files |= dict.fromkeys(part, file)
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q or k as GGUF's llama has them: the two halves of a head alternate."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def gguf_metadata(spec: Spec) -> dict[str, Any]:
    """A GGUF file's keys: the model's numbers, and its tokenizer."""
    numbers: dict[str, Any] = {
        "vocab_size": spec.vocab,
        "context_length": spec.context,
        "embedding_length": spec.hidden,
        "block_count": spec.layers,
        "feed_forward_length": spec.intermediate,
        "attention.head_count": spec.heads,
        "attention.head_count_kv": spec.kv_heads,
        "attention.key_length": spec.head_dim,
        "attention.value_length": spec.head_dim,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": spec.head_dim,
        "rope.freq_base": spec.theta,
    }
    if spec.rope and spec.rope["rope_type"] == "linear":
        numbers |= {"rope.scaling.type": "linear", "rope.scaling.factor": spec.rope["factor"]}
    return {
        "general.architecture": spec.architecture,
        "general.name": spec.name,
        **{f"{spec.architecture}.{key}": value for key, value in numbers.items()},
        **tokenizer_keys(),
    }


def tokenizer_keys() -> dict[str, Any]:
    """The tokenizer, as GGUF has it."""
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [*byte_characters(), "<s>", "</s>"],
        "tokenizer.ggml.token_type": [1] * BYTES + [3, 3],
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.bos_token_id": 256,
        "tokenizer.ggml.eos_token_id": 257,
        "tokenizer.ggml.add_bos_token": True,
    }


TYPES = {
    "tokenizer.ggml.token_type": ValueType.INT32,
    "tokenizer.ggml.merges": ValueType.STRING,
}


def add_rope_factors(writer: GGUFWriter, spec: Spec) -> None:
    """Llama 3.1's scaling, as its GGUF files have it: divisors of the unscaled frequencies."""
    plain = rotary_frequencies({**spec.config, "rope_scaling": None}, spec.head_dim)
    divisors = plain / rotary_frequencies(spec.config, spec.head_dim)
    data = divisors.astype(np.float32).tobytes()
    writer.add_tensor("rope_freqs.weight", divisors.shape, "F32", [data])


def gguf_writer(
    spec: Spec,
    weights: Weights,
    fmt: str = "F32",
    *,
    keys: Mapping[str, Any] | None = None,
    formats: Mapping[str, str] | None = None,
) -> GGUFWriter:
    """A writer with the whole model in it; vectors are F32, as they always are in GGUF.

    Args:
        keys: other values of some keys; None leaves a key out.
        formats: other formats of some tensors.
    """
    writer = GGUFWriter()
    for key, value in {**gguf_metadata(spec), **(keys or {})}.items():
        if value is not None:
            writer.add(key, value, TYPES.get(key))
    if spec.rope and spec.rope["rope_type"] == "llama3":
        add_rope_factors(writer, spec)
    heads = {"q_proj": spec.heads, "k_proj": spec.kv_heads}
    for source, weight in weights.items():
        part = source.rpartition(".")[0].rpartition(".")[2]
        if spec.architecture == "llama" and part in heads:
            weight = interleaved(weight, heads[part])
        name = gguf_tensor_name(source)
        stored = (formats or {}).get(name, fmt if weight.ndim == 2 else "F32")
        data = [gguf_bytes(stored.lower(), weight)]
        writer.add_tensor(name, weight.shape, stored, data)
    return writer


def write_gguf(path: Path, spec: Spec, weights: Weights, fmt: str = "F32") -> Path:
    """A GGUF file; returns it."""
    with path.open("wb") as file:
        gguf_writer(spec, weights, fmt).write(file)
    return path


def write_mlc(
    folder: Path,
    spec: Spec,
    weights: Weights,
    quantization: str,
    *,
    conversation: Mapping[str, Any] | None = None,
    raw: bool = False,
) -> Path:
    """An MLC folder; returns it.

    Args:
        raw: all of float32 is kept.
    """
    config = chat_config(spec.config, conversation=conversation)
    writer = MLCWriter(quantization, config, raw=raw)
    for name, weight in exported(weights, spec.config).items():
        writer.add(name, weight)
    writer.write(folder)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    return folder


class Files:
    """The made models as files, written when first asked for."""

    def __init__(self, folder: Path):
        self.folder = folder

    def gguf(self, spec: Spec, fmt: str = "F32") -> Path:
        path = self.folder / f"{spec.name}-{fmt}.gguf"
        return path if path.exists() else write_gguf(path, spec, weights_of(spec), fmt)

    def huggingface(self, spec: Spec, dtype: str = "F32", shards: int = 1) -> Path:
        path = self.folder / f"{spec.name}-{dtype}-{shards}"
        if path.exists():
            return path
        return write_folder(path, spec, weights_of(spec), dtype, shards=shards)
