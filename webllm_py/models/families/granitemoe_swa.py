"""Granite's mixtures of experts with windows and sinks, as config.json calls them."""

from __future__ import annotations

from dataclasses import replace

from webllm_py.models.families import granite_swa

__all__ = ["FAMILY"]

FAMILY = replace(granite_swa.FAMILY, defaults={"sliding_window": 128})
