"""OLMo 2 (arXiv 2501.00656): norms behind attention and MLP only; queries and keys normed whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webllm_py.models.families import gemma2, qwen3
from webllm_py.models.family import Family
from webllm_py.models.numbers import Numbers

__all__ = ["FAMILY"]


def differences(n: Numbers) -> Mapping[str, Any]:
    """Where norms are."""
    return {"pre_norm": False, "post_norm": True, "qk_norm": "whole"}


FAMILY = Family(differences, names={**gemma2.NAMES, **qwen3.NAMES})
