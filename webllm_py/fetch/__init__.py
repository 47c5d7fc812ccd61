"""Where bytes come from: local files, HTTP, files picked in a browser."""

from webllm_py.fetch.resolver import resolve
from webllm_py.fetch.source import ByteSource, Chunk, Folder

__all__ = ["ByteSource", "Chunk", "Folder", "resolve"]
