"""Which kind of cache a model's sequences need; its code is imported for it."""

from __future__ import annotations

from collections.abc import Mapping

from webllm_py.models.rope import Rotation
from webllm_py.runtime.kv.cache import CacheSpec, KVCache

__all__ = ["cache_of"]


def cache_of(spec: CacheSpec, sinks: int | None, rotations: Mapping[str, Rotation]) -> KVCache:
    """The cache of a model.

    Args:
        sinks: first tokens that stay when a sequence goes on past the context; None: none does.
        rotations: of keys, by ``LayerKind.rope``.
    """
    if sinks is not None:
        from webllm_py.runtime.kv.sliding import SlidingCache

        return SlidingCache(spec, sinks=sinks, rotations=rotations)
    if spec.config.recurrent:
        from webllm_py.runtime.kv.hybrid import HybridCache

        return HybridCache(spec)
    return KVCache(spec)
