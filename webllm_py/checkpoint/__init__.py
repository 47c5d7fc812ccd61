"""Model files of every kind, as one ``Checkpoint``."""

from typing import TYPE_CHECKING, Any

from webllm_py.checkpoint.checkpoint import FORMATS, Checkpoint, TensorFormat, TensorInfo
from webllm_py.checkpoint.gguf_format import ValueType
from webllm_py.checkpoint.open import open_checkpoint

if TYPE_CHECKING:
    from webllm_py.checkpoint.gguf_writer import GGUFWriter

__all__ = [
    "FORMATS",
    "Checkpoint",
    "GGUFWriter",
    "TensorFormat",
    "TensorInfo",
    "ValueType",
    "open_checkpoint",
]


def __getattr__(name: str) -> Any:
    """Import the writer with its first use: a page needs none."""
    if name == "GGUFWriter":
        from webllm_py.checkpoint.gguf_writer import GGUFWriter

        return GGUFWriter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
