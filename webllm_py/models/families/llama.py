"""LLaMA (arXiv 2302.13971), Llama 2 (2307.09288), Llama 3 (2407.21783)."""

from __future__ import annotations

from webllm_py.models.config import Family

FAMILY = Family()
