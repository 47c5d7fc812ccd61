"""Which kind of cache a model's sequences need; its code is imported for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from webllm_py.models.config import ModelConfig
from webllm_py.models.rope import Rotation
from webllm_py.runtime.cache import KVCache

__all__ = ["cache_of"]


def cache_of(
    config: ModelConfig, sinks: int | None, rotations: Mapping[str, Rotation]
) -> Callable[..., KVCache]:
    """What makes the cache; arguments are those of ``KVCache``.

    Args:
        sinks: first tokens that stay when a sequence goes on past the context; None: none does.
        rotations: of keys, by ``LayerKind.rope``.
    """
    if sinks is not None:
        from webllm_py.runtime.sliding import SlidingCache

        return partial(SlidingCache, sinks=sinks, rotations=rotations)
    if config.recurrent:
        from webllm_py.runtime.hybrid_cache import HybridCache

        return HybridCache
    return KVCache
