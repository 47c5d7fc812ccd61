"""Text encoders with made-up weights, as files, and what they are asked to embed."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from formats import gguf_bytes, kept
from made_models import Weights, hashes, noise, small_steps
from model_files import write_safetensors

from webllm_py import Engine
from webllm_py.checkpoint import GGUFWriter, ValueType
from webllm_py.checkpoint.mlc_export import chat_config, exported
from webllm_py.checkpoint.mlc_writer import MLCWriter

__all__ = [
    "EMBEDDERS",
    "FIXTURE",
    "EmbedderSpec",
    "add_modules",
    "stored_as",
    "texts_of",
    "vectors",
    "weights_of",
    "write_embedder",
    "write_embedder_gguf",
    "write_embedder_mlc",
]

FIXTURE = Path(__file__).parents[1] / "fixtures" / "embeddings.npz"
LENGTHS = (1, 3, 17, 40)  # and one that fills all positions

WORDS = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *string.ascii_lowercase,
    *("##" + letter for letter in string.ascii_lowercase),
]


@dataclass(frozen=True)
class EmbedderSpec:
    """An encoder's shape.

    Attributes:
        positions: the most tokens of a text.
        before: rows of the table of positions that no token has (RoBERTa's two).
    """

    name: str
    architecture: str
    hidden: int
    intermediate: int
    heads: int
    pooling: str
    normalize: bool = True
    layers: int = 2
    positions: int = 70
    before: int = 0
    types: int = 2

    @property
    def config(self) -> dict[str, Any]:
        """config.json."""
        return {
            "model_type": self.architecture,
            "vocab_size": len(WORDS),
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "max_position_embeddings": self.positions + self.before,
            "type_vocab_size": self.types,
            "layer_norm_eps": 1e-5 if self.before else 1e-12,
            "hidden_act": "gelu",
            "pad_token_id": 1 if self.before else 0,
        }


# Rows are whole blocks of 32 in some, not in others.
EMBEDDERS = {
    spec.name: spec
    for spec in (
        EmbedderSpec("bert-2x40", "bert", 80, 100, 2, "mean"),
        EmbedderSpec("bert-3x32", "bert", 96, 160, 3, "cls"),
        EmbedderSpec(
            "xlm-roberta-2x32",
            "xlm-roberta",
            *(64, 96, 2, "mean"),
            normalize=False,
            before=2,
            types=1,
        ),
    )
}


def weights_of(spec: EmbedderSpec) -> Weights:
    """The tensors by Hugging Face's names, as a whole checkpoint has them: a pooler too."""
    s, weights = spec, Weights()

    def matrix(name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        scale = np.float32(gain / columns**0.5)
        weights[f"{name}.weight"] = noise(f"{s.name} {name}", rows, columns) * scale

    def vector(name: str, size: int, spread: float) -> np.ndarray:
        return small_steps(f"{s.name} {name}", size, spread)

    def dense(name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        matrix(name, rows, columns, gain)
        weights[f"{name}.bias"] = vector(f"{name} bias", rows, 0.2)

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = 1 + vector(f"{name} weight", s.hidden, 0.2)
        weights[f"{name}.bias"] = vector(f"{name} bias", s.hidden, 0.2)

    matrix("embeddings.word_embeddings", len(WORDS), s.hidden)
    matrix("embeddings.position_embeddings", s.positions + s.before, s.hidden)
    matrix("embeddings.token_type_embeddings", s.types, s.hidden)
    norm("embeddings.LayerNorm")
    for i in range(s.layers):
        layer = f"encoder.layer.{i}"
        # Queries and keys large enough that attention picks, instead of averaging everything.
        for part, gain in (("query", 1.7), ("key", 1.7), ("value", 1.0)):
            dense(f"{layer}.attention.self.{part}", s.hidden, s.hidden, gain)
        dense(f"{layer}.attention.output.dense", s.hidden, s.hidden)
        norm(f"{layer}.attention.output.LayerNorm")
        dense(f"{layer}.intermediate.dense", s.intermediate, s.hidden)
        dense(f"{layer}.output.dense", s.hidden, s.intermediate)
        norm(f"{layer}.output.LayerNorm")
    dense("pooler.dense", s.hidden, s.hidden)
    return weights


def texts_of(spec: EmbedderSpec) -> list[list[int]]:
    """Token ids of texts from one token to as many as there are positions."""
    words = np.uint64(len(WORDS))
    return [
        (hashes(f"{spec.name} text {length}", length) % words).tolist()
        for length in (*LENGTHS, spec.positions)
    ]


async def vectors(engine: Engine, texts: Any, **fields: Any) -> np.ndarray:
    """What an engine makes of texts: (texts, numbers), in float32."""
    reply = await engine.embeddings.create(input=texts, **fields)
    assert [entry.index for entry in reply.data] == list(range(len(reply.data)))
    return np.array([entry.embedding for entry in reply.data], np.float32)


TABLES = ("embeddings.position_embeddings.weight", "embeddings.token_type_embeddings.weight")


def stored_as(fmt: str, weights: Weights) -> Weights:
    """What a format leaves of the weights; quantized files keep the small tables as they are."""
    floats = fmt in ("f16", "bf16")
    return {
        name: kept(fmt, weight) if weight.ndim == 2 and (floats or name not in TABLES) else weight
        for name, weight in weights.items()
    }


def tokenizer_json() -> dict[str, Any]:
    """Words of letters; [CLS] and [SEP] around a text."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "added_tokens": [
            {"id": index, "content": WORDS[index], "special": True, **flags} for index in range(5)
        ],
        "normalizer": {"type": "BertNormalizer", "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "decoder": {"type": "WordPiece", "prefix": "##"},
        "model": {"type": "WordPiece", "vocab": {word: i for i, word in enumerate(WORDS)}},
    }


def write_embedder(
    folder: Path, spec: EmbedderSpec, dtype: str = "F32", *, prefix: str = ""
) -> Path:
    """A sentence-transformers folder; returns it.

    Args:
        prefix: of the tensors' names, as a checkpoint of a model with a head has it.
    """
    folder.mkdir()
    names = ["Transformer", "Pooling", *(["Normalize"] if spec.normalize else [])]
    add_modules(folder, spec.hidden, spec.pooling, names)
    (folder / "config.json").write_text(json.dumps(spec.config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    weights = {prefix + name: weight for name, weight in weights_of(spec).items()}
    write_safetensors(folder / "model.safetensors", weights, dtype)
    return folder


def add_modules(folder: Path, hidden: int, pooling: str, names: list[str]) -> None:
    """What sentence-transformers writes beside a model: which steps follow it."""
    flags = ("cls_token", "mean_tokens", "max_tokens", "lasttoken")
    modes = {f"pooling_mode_{flag}": flag.startswith(pooling) for flag in flags}
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [
        {"idx": i, "path": paths[name], "type": f"sentence_transformers.models.{name}"}
        for i, name in enumerate(names)
    ]
    (folder / "1_Pooling").mkdir()
    config = {"word_embedding_dimension": hidden, **modes}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    (folder / "modules.json").write_text(json.dumps(modules))


def write_embedder_mlc(folder: Path, spec: EmbedderSpec) -> Path:
    """The same by MLC's names, in one shard whose MD5 is in the index; returns the folder."""
    writer = MLCWriter("q0f32", chat_config(spec.config), raw=True)
    weights = {n: w for n, w in weights_of(spec).items() if not n.startswith("pooler")}
    for name, weight in exported(weights, spec.config).items():
        writer.add(name, weight)
    writer.write(folder)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    return folder


GGUF_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def gguf_tensor_name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    if not stem.startswith("encoder.layer."):
        return f"{GGUF_NAMES[stem]}.{kind}"
    layer, _, inner = stem.removeprefix("encoder.layer.").partition(".")
    return f"blk.{layer}.{GGUF_NAMES[inner]}.{kind}"


def write_embedder_gguf(
    path: Path, spec: EmbedderSpec, fmt: str = "F32", keys: Mapping[str, Any] | None = None
) -> Path:
    """The same as llama.cpp's converter writes it; returns the file.

    Args:
        keys: other values of some keys; None leaves a key out.
    """
    numbers = {
        "context_length": spec.positions,
        "embedding_length": spec.hidden,
        "feed_forward_length": spec.intermediate,
        "block_count": spec.layers,
        "attention.head_count": spec.heads,
        "attention.layer_norm_epsilon": spec.config["layer_norm_eps"],
        "attention.causal": False,
        "pooling_type": {"mean": 1, "cls": 2}[spec.pooling],
    }
    metadata = {
        "general.architecture": "bert",
        "general.name": spec.name,
        **{f"bert.{key}": value for key, value in numbers.items()},
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": [
            word
            if word.startswith("[")
            else word.removeprefix("##")
            if word.startswith("##")
            else f"▁{word}"
            for word in WORDS
        ],
        "tokenizer.ggml.token_type": [3] * 5 + [1] * (len(WORDS) - 5),
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.cls_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,
        **(keys or {}),
    }
    writer = GGUFWriter()
    for key, value in metadata.items():
        if value is not None:
            types = {"tokenizer.ggml.token_type": ValueType.INT32}
            writer.add(key, value, types.get(key))
    for name, weight in weights_of(spec).items():
        if name.startswith("pooler"):
            continue
        if name == TABLES[0]:
            weight = weight[spec.before :]
        plain = weight.ndim == 1 or (name in TABLES and fmt not in ("F16", "BF16"))
        stored = "F32" if plain else fmt
        data = [gguf_bytes(stored.lower(), weight)]
        # A table of one row is written without its first dimension, as older converters did.
        shape = weight.shape[1:] if weight.shape[0] == 1 else weight.shape
        writer.add_tensor(gguf_tensor_name(name), shape, stored, data)
    with path.open("wb") as file:
        writer.write(file)
    return path
