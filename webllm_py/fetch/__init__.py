"""Where bytes come from: local files, HTTP, files picked in a browser.

``resolver.py`` finds the source of what a user named, ``source.py`` says what every source is.
``http`` and ``files`` are the sources; ``backends`` are places for models (a folder, a browser,
memory), ``downloads`` brings files there block by block, and ``store`` is the models that are kept.
"""

from webllm_py.fetch.resolver import resolve
from webllm_py.fetch.source import ByteSource, Chunk, Folder

__all__ = ["ByteSource", "Chunk", "Folder", "resolve"]
