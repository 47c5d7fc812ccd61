"""Text to token ids and back, from every kind of tokenizer file, without a GPU."""

from webllm_py.tokenizer.files import from_files
from webllm_py.tokenizer.from_gguf import from_gguf
from webllm_py.tokenizer.stream import StreamDecoder
from webllm_py.tokenizer.tokenizer import Tokenizer

__all__ = ["StreamDecoder", "Tokenizer", "from_files", "from_gguf"]
