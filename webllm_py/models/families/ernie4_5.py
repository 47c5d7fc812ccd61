"""ERNIE 4.5, dense (Baidu): Llama whose rotary pairs are side by side."""

from __future__ import annotations

from webllm_py.models.family import Family

__all__ = ["FAMILY"]

FAMILY = Family(
    in_mlc=False,
    defaults={
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
    },
    adjacent_in=("huggingface", "gguf"),
)
