"""Small llama and qwen2 models with weights out of a formula, so that none need be kept.

A weight is a hash of its tensor's name and its place (SplitMix64), four 16-bit parts of it added up
to something close to normal. It is whole-number arithmetic up to the last step, so every machine
and every version of numpy gives the same bits: the script that asks transformers for the logits
(tests/fixtures/make_fixtures.py) and the tests that compare with them make the same models.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "FORMATS",
    "MIXED",
    "POSITIONS",
    "Q4_K_M",
    "SMALL",
    "SPECS",
    "Spec",
    "Weights",
    "checksum",
    "gguf_tensor_name",
    "tokens_of",
    "weights_of",
]

Weights = dict[str, np.ndarray]

POSITIONS = 150
"""Tokens of a model's test text: five pages of the KV cache, two chunks of a CPU's prefill."""


@dataclass(frozen=True)
class Spec:
    """A model's shape.

    Attributes:
        head_dim: llama's need not be ``hidden / heads``.
        rope: ``rope_scaling`` of config.json.
        biases: everywhere, as llama's config can ask for; qwen2 has its own in any case.
    """

    name: str
    architecture: str
    vocab: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    layers: int = 2
    theta: float = 10000.0
    rope: Mapping[str, Any] | None = None
    biases: bool = False
    context: int = 512

    @property
    def config(self) -> dict[str, Any]:
        """Its config.json."""
        config: dict[str, Any] = {
            "architectures": [
                {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}[self.architecture]
            ],
            "model_type": self.architecture,
            "hidden_act": "silu",
            "vocab_size": self.vocab,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "max_position_embeddings": self.context,
            "rms_norm_eps": 1e-5,
            "rope_theta": self.theta,
            "rope_scaling": dict(self.rope) if self.rope else None,
            "tie_word_embeddings": self.tied,
            "bos_token_id": 256,
            "eos_token_id": 257,
        }
        if self.architecture == "llama":
            config |= {
                "head_dim": self.head_dim,
                "attention_bias": self.biases,
                "mlp_bias": self.biases,
            }
        return config


LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LINEAR = {"rope_type": "linear", "factor": 4.0}

# Vocabularies are primes; hidden and intermediate sizes are whole blocks of 32 in some, not in
# others.
SPECS = {
    spec.name: spec
    for spec in (
        Spec("llama-1x64", "llama", 263, 256, 344, 4, 4, 64, tied=True),
        Spec("llama-4x128", "llama", 509, 256, 320, 4, 1, 128, False, theta=5e5, rope=LLAMA3),
        Spec("llama-7x80", "llama", 1021, 238, 300, 7, 1, 80, True, rope=LINEAR),
        Spec("llama-4x96", "llama", 307, 288, 352, 8, 2, 96, False, biases=True),
        Spec("qwen2-7x64", "qwen2", 331, 448, 288, 7, 1, 64, True, layers=3, theta=1e6),
        Spec("qwen2-1x128", "qwen2", 389, 256, 296, 2, 2, 128, tied=False),
        Spec("qwen2-4x80", "qwen2", 269, 320, 320, 4, 1, 80, tied=True, rope=LINEAR),
        Spec("qwen2-1x96", "qwen2", 277, 192, 232, 2, 2, 96, tied=True, rope=LLAMA3),
    )
}

# Quick to run, for tests of what an engine does; numpy's forward pass is its oracle. The context
# ends within a page.
SMALL = Spec("small", "llama", 263, 96, 128, 4, 2, 32, tied=True, context=500)

# The model whose weights are kept in every file format: whole blocks of 32 everywhere.
FORMATS = Spec("formats", "llama", 283, 256, 352, 4, 1, 64, tied=False)

# Whole super-blocks of 256, for formats that come in them.
MIXED = Spec("mixed", "llama", 277, 256, 512, 4, 1, 64, tied=False)
# Its formats where they are not Q4_K, as llama.cpp's Q4_K_M has them, and then some that are found
# in other recipes: k apart from q, up apart from gate.
Q4_K_M = {
    "output.weight": "Q6_K",
    "blk.0.attn_v.weight": "Q6_K",
    "blk.0.ffn_down.weight": "Q6_K",
    "blk.1.attn_k.weight": "Q5_K",
    "blk.1.ffn_up.weight": "Q5_K",
}


def mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer (Steele et al., OOPSLA 2014) of uint64 values."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def hashes(name: str, count: int) -> np.ndarray:
    """``count`` random uint64 values that the name stands for."""
    start = mixed(np.uint64(zlib.crc32(name.encode()) << 32 | 1))
    with np.errstate(over="ignore"):
        return mixed(start + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def noise(name: str, *shape: int) -> np.ndarray:
    """float32 of mean 0 and variance 1."""
    parts = hashes(name, int(np.prod(shape))).view(np.uint16).reshape(-1, 4)
    total = parts.astype(np.int64).sum(1) - 2 * 65535
    return (total / 37837.2).astype(np.float32).reshape(shape)


def small_steps(name: str, size: int, spread: float) -> np.ndarray:
    """As ``noise``, but in steps of 1/64 and below 1: every float format holds them exactly."""
    return np.clip(np.round(noise(name, size) * np.float32(64 * spread)), -63, 63) / np.float32(64)


def weights_of(spec: Spec) -> Weights:
    """The tensors, by Hugging Face's names; logits come out with a variance of about 1."""
    s = spec

    def matrix(name: str, rows: int, columns: int, gain: float = 1.0) -> None:
        scale = np.float32(gain / columns**0.5)
        weights[f"{name}.weight"] = noise(f"{s.name} {name}", rows, columns) * scale

    def norm(name: str) -> None:
        weights[f"{name}.weight"] = 1 + small_steps(f"{s.name} {name}", s.hidden, 0.2)

    def bias(name: str, rows: int, spread: float) -> None:
        weights[f"{name}.bias"] = small_steps(f"{s.name} {name} bias", rows, spread)

    weights: Weights = {}
    matrix("model.embed_tokens", s.vocab, s.hidden)
    for i in range(s.layers):
        layer = f"model.layers.{i}"
        norm(f"{layer}.input_layernorm")
        # Queries and keys large enough that attention picks, instead of averaging everything.
        for part, heads, gain in (
            ("q", s.heads, 1.5),
            ("k", s.kv_heads, 1.5),
            ("v", s.kv_heads, 1),
        ):
            matrix(f"{layer}.self_attn.{part}_proj", heads * s.head_dim, s.hidden, gain)
            if s.biases or s.architecture == "qwen2":
                bias(f"{layer}.self_attn.{part}_proj", heads * s.head_dim, 0.3)
        matrix(f"{layer}.self_attn.o_proj", s.hidden, s.heads * s.head_dim)
        if s.biases:
            bias(f"{layer}.self_attn.o_proj", s.hidden, 0.2)
        norm(f"{layer}.post_attention_layernorm")
        for part, rows, columns in (
            ("gate", s.intermediate, s.hidden),
            ("up", s.intermediate, s.hidden),
            ("down", s.hidden, s.intermediate),
        ):
            matrix(f"{layer}.mlp.{part}_proj", rows, columns)
            if s.biases:
                bias(f"{layer}.mlp.{part}_proj", rows, 0.2)
    norm("model.norm")
    if not s.tied:
        matrix("lm_head", s.vocab, s.hidden)
    return weights


GGUF_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_tensor_name(name: str) -> str:
    """model.layers.3.mlp.up_proj.weight -> blk.3.ffn_up.weight."""
    stem, _, kind = name.rpartition(".")
    if not stem.startswith("model.layers."):
        return f"{GGUF_NAMES[stem]}.{kind}"
    layer, _, inner = stem.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{GGUF_NAMES[inner]}.{kind}"


def tokens_of(spec: Spec, count: int = POSITIONS) -> list[int]:
    """The model's test text: BOS, then anything."""
    return [256, *(hashes(f"{spec.name} text", count - 1) % np.uint64(spec.vocab)).tolist()]


def checksum(weights: Weights) -> int:
    """Says whether two makers of weights agree to the last bit."""
    crc = 0
    for name in sorted(weights):
        crc = zlib.crc32(
            np.ascontiguousarray(weights[name]).tobytes(), zlib.crc32(name.encode(), crc)
        )
    return crc
