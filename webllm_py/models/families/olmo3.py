"""OLMo 3: OLMo 2 with three layers that have a window to one that has none."""

from __future__ import annotations

from dataclasses import replace

from webllm_py.models.families import olmo2

__all__ = ["FAMILY"]

FAMILY = replace(
    olmo2.FAMILY,
    defaults={**olmo2.FAMILY.defaults, "rope_theta": 500000.0, "sliding_window": 4096},
)
