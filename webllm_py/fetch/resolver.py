"""From what a user gives (a path, an address, a picked file) to where its bytes come from."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from webllm_py.errors import MissingFileError, SourceError
from webllm_py.fetch.local import LocalFile, LocalFolder
from webllm_py.fetch.source import ByteSource, Folder
from webllm_py.fetch.url import HttpFolder, is_file_url, quote_url

__all__ = ["open_beside", "open_url", "resolve"]

HUB = "https://huggingface.co"
HUB_SOURCE = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([^:]+))?(?::(.+))?")
HUB_PAGE = re.compile(r"/([\w.-]+/[\w.-]+)(?:/(?:tree|blob|resolve)/([^/]+)/?(.*))?/?")
PREBUILT = re.compile(r"[\w.-]+-MLC(-\w+)?")  # WebLLM's names look so
ACCEPTED = (
    "A model is given as the path of a .gguf file or of a folder, as an http(s) address of either "
    "(a folder's ends with '/'), as hf:org/name[@revision][:file], by WebLLM's name of it "
    "(Llama-3.2-1B-Instruct-q4f16_1-MLC), or in the browser as a File, a list of Files or a "
    "directory handle."
)


def in_browser() -> bool:
    """Whether this is Pyodide."""
    return sys.platform == "emscripten"


async def resolve(source: Any) -> ByteSource | Folder:
    """Open what ``source`` names; nothing is read yet.

    Args:
        source: a path, an http(s) address, ``hf:org/name[@revision][:file]``, the name of one of
            WebLLM's prebuilt models, a browser ``File``, a list of them or a directory handle, or a
            ``ByteSource`` or ``Folder`` itself. An address is a folder if it ends with ``/`` or has
            no file extension. In the browser any other text that is no existing path is an address
            relative to the page or worker.

    Raises:
        SourceError: nothing of that name, or not one of the above; says what is accepted.
    """
    if in_browser():
        from webllm_py.fetch.browser import from_js

        source = await from_js(source) or source
    if isinstance(source, str):
        return _from_text(source)
    if isinstance(source, os.PathLike):
        return _from_path(os.fspath(source))
    if isinstance(source, ByteSource | Folder):
        return source
    raise SourceError(f"cannot load a model from {type(source).__name__} {source!r}. {ACCEPTED}")


async def open_beside(source: ByteSource, filename: str) -> ByteSource:
    """The file of that name in the folder that ``source`` lies in.

    Raises:
        MissingFileError: there is none, or it cannot be known where ``source`` lies.
        SourceError: the file cannot be had for another reason.
    """
    if isinstance(source, LocalFile):
        return await LocalFolder(Path(source.name).parent).open(filename)
    if re.match("https?:", source.name):
        parts = urlsplit(source.name)
        folder = parts._replace(path=parts.path.rpartition("/")[0] + "/").geturl()
        return await HttpFolder(folder, open_url).open(filename)
    raise MissingFileError(f"where {source.name} lies is not known. Give the folder, or all files.")


def open_url(url: str) -> ByteSource:
    """The file at an absolute http(s) address."""
    if in_browser():
        from webllm_py.fetch.browser import FetchFile

        return FetchFile(url)
    from webllm_py.fetch.http import HttpFile

    return HttpFile(url)


def _from_text(text: str) -> ByteSource | Folder:
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", text)
    if scheme is not None and scheme[0].lower() == "hf:":
        return _from_hub(text)
    if scheme is not None and scheme[0].lower() in ("http:", "https:"):
        return _from_url(text)
    if PREBUILT.fullmatch(text) and not Path(text).exists():
        from webllm_py.fetch.prebuilt import prebuilt_models  # a long table, seldom needed

        if record := prebuilt_models().get(text):
            return _hub(record.repository, "main", "")
    if in_browser() and not Path(text).exists():
        from webllm_py.fetch.browser import absolute_url

        return _from_url(absolute_url(text))
    return _from_path(text)


def _from_path(path: str | bytes) -> ByteSource | Folder:
    text = os.fsdecode(path)
    try:
        if text and Path(text).is_dir():  # Path("") would be the current directory
            return LocalFolder(text)
        if Path(text).is_file():
            return LocalFile(text)
    except (OSError, ValueError):  # too long a name, a null character
        pass
    raise SourceError(f"there is no file or folder {text[:200]!r}. {ACCEPTED}")


def _from_url(url: str) -> ByteSource | Folder:
    url = quote_url(url)
    parts = urlsplit(url)
    page = HUB_PAGE.fullmatch(parts.path)
    if f"{parts.scheme}://{parts.netloc}" == HUB and page is not None:
        # The address of a model's page, or of a file's: what a user copies from the browser.
        return _hub(page[1], unquote(page[2] or "main"), unquote(page[3] or ""))
    if parts.scheme == "blob" or is_file_url(url):
        return open_url(url)
    return HttpFolder(url, open_url)


def _from_hub(text: str) -> ByteSource | Folder:
    match = HUB_SOURCE.fullmatch(text)
    if match is None:
        raise SourceError(
            f"{text!r} is not of the form hf:org/name[@revision][:file], as in "
            "hf:Qwen/Qwen2.5-0.5B-Instruct or hf:org/name@main:model-q8_0.gguf"
        )
    return _hub(match[1], match[2] or "main", match[3] or "")


def _hub(repository: str, revision: str, file: str) -> ByteSource | Folder:
    version = quote(revision, safe="")
    folder = f"{HUB}/{repository}/resolve/{version}/"
    if file and not file.endswith("/"):
        return open_url(folder + quote(file))
    listing = None if file else f"{HUB}/api/models/{repository}/revision/{version}"
    return HttpFolder(folder + quote(file), open_url, listing)
