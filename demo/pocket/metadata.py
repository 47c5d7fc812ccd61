"""What the pocket model's GGUF says beside its weights: sizes, tokenizer, chat template."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from demo.pocket.bpe import BytePairEncoding
from demo.pocket.chat_format import END, PAD, chat_template
from webllm_py.checkpoint import ValueType

__all__ = ["Config", "Key", "metadata"]

_NORMAL, _CONTROL = 1, 3  # token types of the GGUF specification
_MOSTLY_Q8_0 = 7  # file type of the GGUF specification

Key = tuple[str, Any, ValueType | None]
"""Name, value, and the type where it does not follow from the value."""


@dataclass(frozen=True)
class Config:
    """Sizes of the model; every row length is a multiple of Q8_0's block of 32."""

    vocab: int = 2048
    dim: int = 256
    layers: int = 8
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 480
    context: int = 2048
    rope_base: float = 10000.0
    epsilon: float = 1e-5


def metadata(config: Config) -> Iterator[Key]:
    """All keys, in the order of the file."""
    yield from ((key, value, None) for key, value in _model(config).items())
    yield from _tokenizer()


def _model(config: Config) -> dict[str, Any]:
    return {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": "Pocket",
        "general.description": "The pocket model of webllm_py: small talk, sums, facts, JSON.",
        "general.license": "mit",
        "general.size_label": "5M",
        "general.languages": ["en"],
        "general.file_type": _MOSTLY_Q8_0,
        "general.quantization_version": 2,
        "llama.vocab_size": config.vocab,
        "llama.context_length": config.context,
        "llama.embedding_length": config.dim,
        "llama.block_count": config.layers,
        "llama.feed_forward_length": config.ffn,
        "llama.attention.head_count": config.heads,
        "llama.attention.head_count_kv": config.kv_heads,
        "llama.attention.key_length": config.head_dim,
        "llama.attention.value_length": config.head_dim,
        "llama.attention.layer_norm_rms_epsilon": config.epsilon,
        "llama.rope.dimension_count": config.head_dim,
        "llama.rope.freq_base": config.rope_base,
    }


def _tokenizer() -> Iterator[Key]:
    bpe = BytePairEncoding()
    types = [_CONTROL if token in bpe.special else _NORMAL for token in bpe.tokens]
    yield "tokenizer.ggml.model", "gpt2", None
    yield "tokenizer.ggml.pre", "gpt-2", None
    yield "tokenizer.ggml.tokens", bpe.tokens, None
    yield "tokenizer.ggml.token_type", types, ValueType.INT32
    yield "tokenizer.ggml.merges", bpe.merges, None
    yield "tokenizer.ggml.bos_token_id", bpe.special[PAD], None
    yield "tokenizer.ggml.eos_token_id", bpe.special[END], None
    yield "tokenizer.ggml.padding_token_id", bpe.special[PAD], None
    yield "tokenizer.ggml.add_bos_token", False, None
    yield "tokenizer.chat_template", chat_template(), None
