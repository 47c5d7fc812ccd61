"""HTTP's names, folders and statuses, the same natively and in the browser."""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from webllm_py.errors import MissingFileError, SourceError
from webllm_py.fetch.source import ByteSource, closed_on_error

__all__ = [
    "FileFacts",
    "HttpFolder",
    "ask_for",
    "is_file_url",
    "join_url",
    "quote_url",
    "status_error",
    "web_page_error",
]

LISTING_LIMIT = 16 << 20
PASSING = (408, 425, 429)

REMEDIES = {
    401: "It needs an account: download the files yourself and load them from disk.",
    403: "Access is refused: a gated model or an expired link. Accept the model's licence on its "
    "page, download the files yourself and load them from disk.",
    404: "There is no such file: check the spelling, the revision and the folder.",
    410: "The file was removed.",
    429: "The server asks for fewer requests: wait a minute and try again.",
}


@dataclass
class FileFacts:
    """What the replies so far told about a file; outlives a broken stream.

    Attributes:
        size: in bytes.
        etag, modified: the headers ETag and Last-Modified.
        ranges: whether the server heeds Range headers.
        answered: whether there was a reply.
        received: bytes of bodies that came.
    """

    size: int | None = None
    etag: str | None = None
    modified: str | None = None
    ranges: bool = True
    answered: bool = False
    received: int = 0


def status_error(
    url: str, status: int, reason: str = "", retry_after: str | None = None
) -> SourceError:
    """The error for a status that is no success, with what to do about it."""
    remedy = REMEDIES.get(status)
    if remedy is None and status >= 500:
        remedy = "The server has a fault of its own: try again later, or take a mirror."
    answer = f"{status} {reason}".strip()
    return SourceError(
        f"{url}: the server answered {answer}. {remedy or ''}".rstrip(),
        status=status,
        transient=status in PASSING or status >= 500,
        retry_after=float(retry_after) if retry_after and retry_after.isdecimal() else None,
    )


async def ask_for(
    source: ByteSource, folder: str, filename: str, is_missing: Callable[[int | None], bool]
) -> None:
    """Begin a file's reply, which tells whether it is there; if it is not, the source is closed.

    Args:
        folder, filename: what it is called in errors.
        is_missing: whether a status says that there is no such file.

    Raises:
        MissingFileError: there is no such file.
        SourceError: the file cannot be had for another reason.
    """
    async with closed_on_error(source):
        try:
            await source.size()
        except SourceError as error:
            if not is_missing(error.status):
                raise
            raise MissingFileError(
                f"{folder} holds no {filename} (the server answered {error.status})"
            ) from error


def web_page_error(url: str) -> SourceError:
    """The error for a reply that is a web page: a viewer, a log-in page, a page for any name."""
    return SourceError(
        f"{url}: the server answered with a web page, not with a model's file. Give the address "
        "that downloads the file itself (on the Hugging Face hub the one with /resolve/ in it).",
        status=200,
    )


def quote_url(url: str) -> str:
    """The URL with spaces and non-ASCII characters escaped, as the wire needs it."""
    try:
        parts = urlsplit(url)
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    except ValueError as error:  # UnicodeError is one too
        raise SourceError(f"{url} is not a valid address: {error}") from error
    safe = "%/:=&?~#+!$,;'@()*[]"
    return urlunsplit((parts.scheme, host, quote(parts.path, safe), quote(parts.query, safe), ""))


def is_file_url(url: str) -> bool:
    """Whether the URL names a file: its path ends in an extension.

    An extension starts with a letter, so that ``.../Qwen2.5-0.5B`` is a folder.
    """
    return re.search(r"\.[A-Za-z]\w{0,11}$", urlsplit(url).path) is not None


def join_url(folder: str, filename: str) -> str:
    """The URL of a file in a folder; a query (a signature) stays where it was."""
    parts = urlsplit(folder)
    path = parts.path.rstrip("/") + "/" + quote(filename)
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


class HttpFolder:
    """All files below a URL, as a ``Folder``.

    ``open_url`` makes the ``ByteSource`` of one URL. ``listing_url`` answers with the hub's JSON
    about a repository; without one the names cannot be known.
    """

    def __init__(
        self, url: str, open_url: Callable[[str], ByteSource], listing_url: str | None = None
    ):
        self.name = url
        self._open_url = open_url
        self._listing_url = listing_url
        self._served = False

    async def open(self, filename: str) -> ByteSource:
        """The file of that name, with its reply already begun.

        Raises:
            MissingFileError: the server has no such file.
            SourceError: the file cannot be had for another reason.
        """
        source = self.source_of(filename)
        await ask_for(source, self.name, filename, self._is_missing)
        self._served = True
        return source

    def source_of(self, filename: str) -> ByteSource:
        """The file of that name, of which nothing is known yet."""
        return self._open_url(join_url(self.name, filename))

    async def exists(self, filename: str) -> bool:
        """Whether the server has the file."""
        try:
            source = await self.open(filename)
        except MissingFileError:
            return False
        await source.close()
        return True

    async def list(self) -> builtins.list[str] | None:
        """Names of all files; None where the server does not tell."""
        if self._listing_url is None:
            return None
        source = self._open_url(self._listing_url)
        try:
            listing = json.loads(await source.read_all(LISTING_LIMIT))
            return sorted(str(entry["rfilename"]) for entry in listing["siblings"])
        except (SourceError, ValueError, RecursionError, KeyError, TypeError):
            # A mirror without the listing still serves the files: their absence is named later.
            return None
        finally:
            await source.close()

    def _is_missing(self, status: int | None) -> bool:
        # Some servers answer any unknown name with their start page (web_page_error's 200), and
        # storage services answer 403 for a missing name where listing is not public.
        return status in (200, 404, 410) or (status == 403 and self._served)
