"""Ministral 3: Mistral with YaRN, and queries that grow with their position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.families import llama
from webllm_py.models.family import Family
from webllm_py.models.numbers import Numbers

__all__ = ["FAMILY"]


def differences(n: Numbers) -> Mapping[str, Any]:
    """Its config.json has the growth among the numbers of its rope."""
    rope, _ = n.ropes
    growth = n.get("", "attention.temperature_scale", rope.get("llama_4_scaling_beta") or 0.0)
    return {**llama.differences(n), "query_growth": growth}


FAMILY = Family(differences, adjacent_in=("gguf",))
