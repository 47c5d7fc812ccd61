"""The arguments of ``webllm_py.load``, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webllm_py.fetch.options import FetchOptions
from webllm_py.models.kv_cache import KV_FORMATS, KVFormat
from webllm_py.runtime.weights.progress import ProgressCallback
from webllm_py.runtime.weights.storage import Quantize

__all__ = ["LoadOptions"]


@dataclass(frozen=True)
class LoadOptions:
    """See ``webllm_py.load``, which raises ValueError for what is none of these."""

    source: Any = None
    context_length: int | None = None
    on_progress: ProgressCallback | None = None
    quantize: Quantize | None = None
    kv_dtype: KVFormat = "f16"
    tune: bool | None = None
    fetch: FetchOptions | None = None
    vision: Any = None
    sliding_window_size: int | None = None
    attention_sink_size: int | None = None
    chat_template: str | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if (self.sliding_window_size, self.attention_sink_size) != (None, None):
            from webllm_py.loading.sliding_window import check_window  # not before it is needed

            asked = self.sliding_window_size, self.attention_sink_size
            check_window(*asked, self.context_length, self.kv_dtype)
        length = self.context_length
        if length is not None and (
            isinstance(length, bool) or not hasattr(length, "__index__") or length < 1
        ):
            raise ValueError(f"context_length must be a positive whole number, not {length!r}")
        if not (self.on_progress is None or callable(self.on_progress)):
            raise ValueError(f"on_progress must be a function, not {self.on_progress!r}")
        if not isinstance(self.fetch, FetchOptions | None):
            raise ValueError(f"fetch must be webllm_py.FetchOptions(...), not {self.fetch!r}")
        said = self.quantize
        kinds = said.values() if isinstance(said, Mapping) else (said,)
        if not all(kind in (None, "q4", "q8") for kind in kinds):
            raise ValueError(
                f"quantize must be 'q4', 'q8' or None, or a mapping to these, not {said!r}"
            )
        if self.tune not in (True, False, None):
            raise ValueError(f"tune must be True, False or None, not {self.tune!r}")
        if not isinstance(self.chat_template, str | Mapping | None):
            raise ValueError(
                "chat_template must be the text of a Jinja template or a mapping, MLC's "
                f"conv_template, not {self.chat_template!r}"
            )
        if self.kv_dtype not in KV_FORMATS:
            raise ValueError(f"kv_dtype must be 'f16', 'f32' or 'q8', not {self.kv_dtype!r}")
