"""From what a user gives (a path, an address, a picked file) to where its bytes come from."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from webllm_py.errors import MissingFileError, SourceError
from webllm_py.fetch.files.local import LocalFile, LocalFolder
from webllm_py.fetch.http.url import HttpFolder, is_file_url, quote_url
from webllm_py.fetch.hub import cached_snapshot, holds_model, hub_folder, listing_url
from webllm_py.fetch.options import HUB, FetchOptions
from webllm_py.fetch.source import ByteSource, Folder
from webllm_py.fetch.tagged import TaggedFolder, has_tag

if TYPE_CHECKING:
    from webllm_py.fetch.http.browser import FetchFile
    from webllm_py.fetch.http.native import HttpFile

__all__ = ["address_of", "open_beside", "open_url", "resolve", "telling_of_guesses"]

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
HUB_TAG = re.compile(r"\w+")  # a file's name has an end
HUB_SOURCE = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([^:]+))?(?::(.+))?")
HUB_NAME = re.compile(r"[\w-][\w.-]*/(?!.*\.[a-z]\w+$)[\w.-]+(?:[@:].+)?")  # without its "hf:"
HUB_PAGE = re.compile(r"/([\w.-]+/[\w.-]+)(?:/(?:tree|blob|resolve)/([^/]+)/?(.*))?/?")
PREBUILT = re.compile(r"[\w.-]+-MLC(-\w+)?")  # WebLLM's names look so
LISTING_TRIES = 3  # of the hub's listing: a mirror that has none still has the files
ACCEPTED = (
    "A model is given as the path of a .gguf file or of a folder, as an http(s) address of either "
    "(a folder's ends with '/'), as hf:org/name[@revision][:file] or hf:org/name:Q4_K_M, or by "
    "WebLLM's name of it (Llama-3.2-1B-Instruct-q4f16_1-MLC)"
)
ACCEPTED_IN_BROWSER = "; in a browser also as a File, Files or a directory handle"


def in_browser() -> bool:
    """Whether this is Pyodide."""
    return sys.platform == "emscripten"


def accepted() -> str:
    """What a model may be given as, in a sentence."""
    return f"{ACCEPTED}{ACCEPTED_IN_BROWSER if in_browser() else ''}."


async def resolve(source: Any, options: FetchOptions | None = None) -> ByteSource | Folder:
    """Open what ``source`` names; of what is not kept nothing is read yet.

    Args:
        source: a path, an http(s) address, ``hf:org/name[@revision][:file]``, where instead of the
            file a quantization such as ``Q4_K_M`` will do, the name of one of WebLLM's prebuilt
            models, a browser ``File``, a list of them or a directory handle, or a
            ``ByteSource`` or ``Folder`` itself. An address is a folder if it ends with ``/`` or has
            no file extension. In the browser any other text that is no existing path is an address
            relative to the page or worker.
        options: how files of servers are had. None: nothing is kept.

    Raises:
        SourceError: nothing of that name, or not one of the above; says what is accepted.
    """
    if in_browser():
        from webllm_py.fetch.files.picked import from_js

        source = await from_js(source) or source
    if isinstance(source, str):
        return await _from_text(source, options or FetchOptions(keep=False))
    if isinstance(source, os.PathLike):
        return _from_path(os.fspath(source))
    if isinstance(source, ByteSource | Folder):
        return source
    kind = type(source).__name__
    raise SourceError(f"cannot load a model from {kind} {repr(source)[:200]}. {accepted()}")


@contextmanager
def telling_of_guesses(source: Any) -> Iterator[None]:
    """Have an error say so where a browser took a text without "https:" for an address here, and
    what else may be meant."""
    try:
        yield
    except (SourceError, MissingFileError) as error:
        if in_browser() and isinstance(source, str) and SCHEME.match(source) is None:
            place = _place(source)
            if place is not None and not place.repository:
                told = f"Python sees no file {source[:200]!r}, so it was taken as an address here."
                error.args = (f"{told} {_meant(source)}{error}",)
        raise


async def open_beside(source: ByteSource, filename: str) -> ByteSource:
    """The file of that name in the folder that ``source`` lies in.

    Raises:
        MissingFileError: there is none, or it cannot be known where ``source`` lies.
        SourceError: the file cannot be had for another reason.
    """
    around: Folder | None = getattr(source, "folder", None)
    if around is not None:
        return await around.open(filename)
    if isinstance(source, LocalFile):
        return await LocalFolder(Path(source.name).parent).open(filename)
    if re.match("https?:", source.name):
        parts = urlsplit(source.name)
        folder = parts._replace(path=parts.path.rpartition("/")[0] + "/").geturl()
        return await HttpFolder(folder, open_url).open(filename)
    raise MissingFileError(f"where {source.name} lies is not known. Give the folder, or all files.")


def open_url(url: str, options: FetchOptions | None = None) -> HttpFile | FetchFile:
    """The file at an absolute http(s) address, of which nothing is kept."""
    options = options or FetchOptions(keep=False)
    if in_browser():
        from webllm_py.fetch.http.browser import FetchFile

        return FetchFile(
            url, timeout=options.timeout, headers=options.headers(url), retries=options
        )
    from webllm_py.fetch.http.native import HttpFile

    return HttpFile(url, timeout=options.timeout, headers=options.headers(url), retries=options)


def address_of(source: str) -> str:
    """The address that a model of a server is kept under.

    Raises:
        SourceError: it is none of a server's.
    """
    place = _place(source)
    if place is None:
        raise SourceError(f"{source!r} is no address: only models of servers are in the store.")
    return place.address


@dataclass(frozen=True)
class _Place:
    """A file or folder of a server; ``repository`` and what follows are of the hub's alone.

    Attributes:
        tag: the quantization of the folder's GGUF file that is meant.
    """

    address: str
    repository: str = ""
    revision: str = ""
    file: str = ""
    tag: str = ""


def _place(text: str) -> _Place | None:
    """What a text means that names something on a server; None if it does not."""
    scheme = SCHEME.match(text)
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
    return None


async def _from_text(text: str, options: FetchOptions) -> ByteSource | Folder:
    place = _place(text)
    if place is None:
        return _from_path(text)
    found = await _from_place(place, options)
    return TaggedFolder(found, place.tag) if place.tag and isinstance(found, Folder) else found


async def _from_place(place: _Place, options: FetchOptions) -> ByteSource | Folder:
    if place.repository and not in_browser() and not options.refresh:
        snapshot = _cached(place)
        if snapshot is not None:
            return snapshot
    if options.keep and not place.address.startswith("blob:"):
        return await _kept(place, options)
    opener = partial(open_url, options=options)
    if not place.repository:
        is_file = place.address.startswith("blob:") or is_file_url(place.address)
        return opener(place.address) if is_file else HttpFolder(place.address, opener)
    hub, repository, revision = options.hub, place.repository, place.revision
    if place.file and not place.file.endswith("/"):
        return opener(hub_folder(hub, repository, revision, place.file))
    listing = None if place.file else listing_url(hub, repository, revision)
    return HttpFolder(hub_folder(hub, repository, revision, place.file), opener, listing)


async def _kept(place: _Place, options: FetchOptions) -> ByteSource | Folder:
    """A file or folder of a server that is kept in the store."""
    from webllm_py.fetch.store.models_store import models_store
    from webllm_py.fetch.store.stored_model import HubModel, StoredFolder, StoredModel

    model = StoredModel(models_store(options.store), place.address, options, open_url)
    if place.repository:
        inner, _, filename = place.file.rpartition("/")
        folder = HubModel(
            model,
            place.repository,
            place.revision,
            f"{inner}/" if inner else "",
            partial(open_url, options=replace(options, tries=min(options.tries, LISTING_TRIES))),
        )
        return await folder.open(filename) if filename else folder
    if not is_file_url(place.address):
        return StoredFolder(model, place.address)
    parts = urlsplit(place.address)
    beside, _, filename = parts.path.rpartition("/")
    around = StoredFolder(model, parts._replace(path=f"{beside}/").geturl())
    return around.source_of(unquote(filename))


def _cached(place: _Place) -> ByteSource | Folder | None:
    """What the hub's own cache has of it on this machine, if that is enough."""
    snapshot = cached_snapshot(place.repository, place.revision)
    if snapshot is None:
        return None
    path = snapshot / place.file
    if place.file and not place.file.endswith("/"):
        return LocalFile(path) if path.is_file() else None
    if place.tag and not any(has_tag(file.name, place.tag) for file in path.iterdir()):
        return None
    return LocalFolder(path, f"hf:{place.repository}") if holds_model(path) else None


def _from_path(path: str | bytes) -> ByteSource | Folder:
    text = os.fsdecode(path)
    try:
        place = Path.home() / text[2:] if text.startswith("~/") else Path(text)  # as a shell has it
        if text and place.is_dir():  # Path("") would be the current directory
            return LocalFolder(place)
        if place.is_file():
            return LocalFile(place)
    except PermissionError as error:
        raise SourceError(f"{text[:200]} cannot be looked at: {error.strerror}") from error
    except (OSError, ValueError, RuntimeError):  # too long a name, a null character, no home
        pass
    # Not with !r, which doubles the backslashes of Windows.
    shown = f"'{text[:200]}'" if text.isprintable() else f"{text[:200]!r}"
    raise SourceError(f"there is no file or folder {shown}. {_meant(text)}{accepted()}")


def _meant(text: str) -> str:
    """A question for what models of servers may be meant by a text that names nothing here."""
    if HUB_NAME.fullmatch(text):
        near = [f"hf:{text}"]
    else:
        from webllm_py.fetch.prebuilt import near_prebuilt

        near = near_prebuilt(text)
    return f"Did you mean {' or '.join(map(repr, near))}? " if near else ""


def _from_url(url: str) -> _Place:
    url, tag = quote_url(url), url.partition("#")[2]
    parts = urlsplit(url)
    page = HUB_PAGE.fullmatch(parts.path)
    if f"{parts.scheme}://{parts.netloc}" == HUB and page is not None:
        # The address of a model's page, or of a file's: what a user copies from the browser.
        file = unquote(page[3] or "")
        tag = "" if file or not HUB_TAG.fullmatch(tag) else tag
        return _hub(page[1], unquote(page[2] or "main"), file, tag)
    return _Place(url)


def _from_hub(text: str) -> _Place:
    match = HUB_SOURCE.fullmatch(text)
    if match is None:
        raise SourceError(
            f"{text!r} is not of the form hf:org/name[@revision][:file], as in "
            "hf:Qwen/Qwen2.5-0.5B-Instruct or hf:org/name@main:model-q8_0.gguf"
        )
    repository, revision, file = match[1], match[2] or "main", match[3] or ""
    if HUB_TAG.fullmatch(file):
        return _hub(repository, revision, "", file)
    return _hub(repository, revision, file)


def _hub(repository: str, revision: str, file: str, tag: str = "") -> _Place:
    address = hub_folder(HUB, repository, revision, file)
    if tag:
        address += f"#{tag.upper()}"  # in the store each quantization is a model of its own
    return _Place(address, repository, revision, file, tag)
