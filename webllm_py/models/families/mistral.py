"""Mistral (arXiv 2310.06825): Llama with a window in every layer."""

from __future__ import annotations

from webllm_py.models.families import llama
from webllm_py.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    llama.differences,
    defaults={
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    },
)
