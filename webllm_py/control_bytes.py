"""Bytes that stand for control tokens, where these mean something among the bytes of a text."""

from __future__ import annotations

__all__ = ["CONTROL_BYTES"]

CONTROL_BYTES = bytes([0xC0, 0xC1, *range(0xF5, 0x100)])
"""Bytes that are in no UTF-8 text."""
