"""Model files of every kind, as one ``Checkpoint``."""

from webllm_py.checkpoint.checkpoint import FORMATS, Checkpoint, TensorFormat, TensorInfo
from webllm_py.checkpoint.gguf_format import ValueType
from webllm_py.checkpoint.gguf_writer import GGUFWriter
from webllm_py.checkpoint.open import open_checkpoint

__all__ = [
    "FORMATS",
    "Checkpoint",
    "GGUFWriter",
    "TensorFormat",
    "TensorInfo",
    "ValueType",
    "open_checkpoint",
]
