"""The bridge to JavaScript that reads bytes in Pyodide: ``stream.js``, and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import js
from pyodide.code import run_js
from pyodide.ffi import JsException, JsProxy, to_js

from webllm_py.errors import (
    ChangedFileError,
    SourceError,
    StorageFullError,
)
from webllm_py.fetch.http.url import status_error, web_page_error

__all__ = [
    "CacheStore",
    "absolute_url",
    "bridge",
    "is_javascript",
    "load_package",
    "load_script",
    "named_errors",
    "to_array",
]


STORE = "the models' store"


@cache
def bridge() -> Any:
    """stream.js on http's read_ahead.js, url_stream.js and connection.js, loaded once."""
    names = ("http/connection", "http/url_stream", "http/read_ahead", "stream")
    connection, url_stream, read_ahead, stream = (load_script(f"fetch/{name}.js") for name in names)
    return stream(read_ahead(url_stream, connection))


def load_script(name: str) -> Any:
    """The value of a file in JavaScript, one expression, by its path in this package.

    Where a policy forbids the browser to evaluate texts, as in extensions, the worker brings the
    files as functions (web/js/worker.js).
    """
    scripts = getattr(js, "webllm_py_scripts", None)
    if scripts is not None:
        return getattr(scripts, name)()
    return run_js((Path(__file__).parents[1] / name).read_text("utf-8"))


async def load_package(name: str) -> None:
    """Fetch a package, if Pyodide's lock file lists one of that name."""
    from pyodide_js import loadPackage, lockfile

    if hasattr(lockfile.packages, name):
        with named_errors(f"the package {name}"):
            await loadPackage(name)


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Turn errors that JavaScript threw while reading ``name``, or writing what it read into the
    store, into SourceError."""
    try:
        yield
    except JsException as error:
        where = STORE if getattr(error, "store", False) else name
        raise translated(where, error) from error


def translated(name: str, error: Any) -> SourceError:
    """This package's error for one of stream.js or of the browser."""
    match error.name:
        case "HttpStatus":
            wait = error.wait if isinstance(error.wait, str) else None
            return status_error(name, int(error.status), str(error.message), wait)
        case "Changed":
            return ChangedFileError(f"{name}: {error.message}")
        case "Cut":
            return SourceError(f"{name}: {error.message}", transient=True)
        case "QuotaExceededError":
            return StorageFullError(
                f"{name}: the browser grants no more room to keep models. Make room, delete a "
                "model (webllm_py.models_store()), or load with fetch=FetchOptions(keep=False).",
                needed=0,
                free=0,
            )
        case "WebPage":
            return web_page_error(name)
        case "NotReadableError" | "NotFoundError" if " store" in name:
            return SourceError(f"{name} was deleted meanwhile: load the model again.")
        case "NotReadableError" | "NotFoundError":
            return SourceError(f"{name} changed or went away since it was picked: pick it again.")
        case "NotAllowedError":
            return SourceError(f"the browser does not allow to read {name}: pick it again.")
        case _:
            return SourceError(f"{name}: {error.message}")


def absolute_url(url: str) -> str:
    """The URL, taken relative to the page or worker, or to what a worker's page says (web/js).

    Raises:
        SourceError: it is no URL, or is relative where the page has no address.
    """
    try:
        return str(bridge().absoluteUrl(url))
    except JsException as error:
        raise SourceError(
            f"{url!r} is not an address here: give the full one, https://..."
        ) from error


def is_javascript(value: Any) -> bool:
    """Whether it is an object of JavaScript."""
    return isinstance(value, JsProxy)


def to_array(chunk: Any) -> Any:
    """A chunk as a ``Uint8Array``, whichever side it is of."""
    return chunk if is_javascript(chunk) else to_js(bytes(chunk))


class CacheStore:
    """Entries of the browser's Cache API, as a ``TextStore``: for pages and workers, unasked."""

    def __init__(self, kind: str):
        self.kind = kind

    async def read(self, name: str) -> str | None:
        """See ``TextStore``."""
        with named_errors(f"the browser's cache of {self.kind}"):
            text = await bridge().cachedText(self.kind, name)
        return text if isinstance(text, str) else None

    async def write(self, name: str, text: str) -> None:
        """See ``TextStore``."""
        with named_errors(f"the browser's cache of {self.kind}"):
            await bridge().cacheText(self.kind, name, text)
