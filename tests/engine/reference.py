"""A decoder's forward pass in float64 numpy, and weights as each storage format would keep them.

Written from the papers (arXiv 2302.13971, 2104.09864, 2305.13245, Llama 3.1's rope scaling), not
from the package; test_reference.py holds it against transformers' logits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from formats import kept
from made_models import Weights, gguf_tensor_name

__all__ = ["forward", "rotary_frequencies", "stored_as"]


def forward(config: Mapping[str, Any], weights: Weights, tokens: Sequence[int]) -> np.ndarray:
    """Logits of every position, float64 (len(tokens), vocab).

    Args:
        config: config.json. weights: by Hugging Face's names.
    """
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    eps = config["rms_norm_eps"]
    angles = np.arange(len(tokens))[:, None] * rotary_frequencies(config, head_dim)
    mask = np.where(np.tri(len(tokens), dtype=bool), 0.0, -np.inf)

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        y = x @ weights[f"{name}.weight"].astype(np.float64).T
        y += weights.get(f"{name}.bias", 0.0)
        return np.asarray(y)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return np.asarray(
            x / np.sqrt((x**2).mean(1, keepdims=True) + eps) * weights[f"{name}.weight"]
        )

    def split(x: np.ndarray, count: int) -> np.ndarray:
        return x.reshape(len(tokens), count, head_dim)

    table = "model.embed_tokens.weight"
    if table not in weights:
        table = "lm_head.weight"
    x = weights[table][list(tokens)].astype(np.float64)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        y = norm(x, f"{layer}.input_layernorm")
        q = rotated(split(linear(y, f"{layer}.self_attn.q_proj"), heads), angles)
        k = rotated(split(linear(y, f"{layer}.self_attn.k_proj"), kv_heads), angles)
        v = split(linear(y, f"{layer}.self_attn.v_proj"), kv_heads)
        k, v = (np.repeat(a, heads // kv_heads, axis=1) for a in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(head_dim) + mask
        shares = np.exp(scores - scores.max(2, keepdims=True))
        shares /= shares.sum(2, keepdims=True)
        attended = np.einsum("hqk,khd->qhd", shares, v).reshape(len(tokens), -1)
        x = x + linear(attended, f"{layer}.self_attn.o_proj")
        y = norm(x, f"{layer}.post_attention_layernorm")
        gate = linear(y, f"{layer}.mlp.gate_proj")
        x = x + linear(
            gate / (1 + np.exp(-gate)) * linear(y, f"{layer}.mlp.up_proj"), f"{layer}.mlp.down_proj"
        )
    tied = "lm_head.weight" not in weights
    return linear(norm(x, "model.norm"), "model.embed_tokens" if tied else "lm_head")


def rotated(x: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(positions, heads, d): each pair (i, i + d/2) turned by its angle."""
    a, b = np.split(x, 2, axis=2)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], 2)


def rotary_frequencies(config: Mapping[str, Any], head_dim: int) -> np.ndarray:
    """Radians a position of each pair, with the config's scaling."""
    frequencies = config["rope_theta"] ** (-np.arange(0, head_dim, 2) / head_dim)
    scaling = config.get("rope_scaling")
    if scaling is None:
        return np.asarray(frequencies)
    factor = scaling["factor"]
    if scaling["rope_type"] == "linear":
        return np.asarray(frequencies / factor)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    wavelength = 2 * np.pi / frequencies
    share = (scaling["original_max_position_embeddings"] / wavelength - low) / (high - low)
    share = np.clip(share, 0, 1)
    return np.asarray(share * frequencies + (1 - share) * frequencies / factor)


def stored_as(
    fmt: str,
    weights: Weights,
    tables: str | None = None,
    apart: Mapping[str, str] = MappingProxyType({}),
) -> Weights:
    """What is left of the weights after keeping matrices in a format of tests/gpu/formats.py.

    Args:
        tables: another format for the embedding and output tables.
        apart: other formats of some tensors, by GGUF's names of both.
    """

    def what_is_kept(name: str, weight: np.ndarray) -> np.ndarray:
        if weight.ndim == 1:
            return weight
        is_table = name in ("model.embed_tokens.weight", "lm_head.weight")
        stored = apart.get(gguf_tensor_name(name), tables if tables and is_table else fmt)
        return kept(stored.lower(), weight)

    return {name: what_is_kept(name, weight) for name, weight in weights.items()}
