"""Checks of a checkpoint's own counts."""

from __future__ import annotations

from webllm_py.errors import CorruptCheckpointError

__all__ = ["check_count"]


def check_count(name: str, value: object) -> None:
    """Raise CorruptCheckpointError unless a value is a positive 31-bit integer."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise CorruptCheckpointError(
            f"the checkpoint says {name} = {value!r}; that must be a positive whole number"
        )
