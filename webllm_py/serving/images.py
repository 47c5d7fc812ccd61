"""Images that a server's clients name by address: refused, or fetched from public addresses only.

A server reaches what its clients cannot: itself, and what is beside it. Who could have it fetch
anything would reach that as well (CWE-918, server-side request forgery). So a service fetches
nothing unless it is told to, and then asks no address that is not public, whatever a name stands
for and wherever a redirect leads: the address that was looked at is the one that is connected to.
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

from webllm_py.errors import ImageError, SourceError
from webllm_py.fetch.http.url import quote_url

__all__ = ["PublicImages", "is_public", "only_data_urls"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 5
MOST_ADDRESSES = 3  # that a name stands for
MOST_AT_ONCE = 8
BLOCK = 1 << 16
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: IPv4 in the last 32 bits


async def only_data_urls(fields: dict[str, Any]) -> None:
    """Refuse a chat request that names an image by address.

    Raises:
        ImageError: it does.
    """
    for _, param, _ in addressed(fields):
        raise ImageError(
            "this server fetches no images; send the image itself, as a "
            "data:image/...;base64,... URL (or start the server with --fetch-images)",
            param=param,
        )


class PublicImages:
    """Fetches a chat request's images, and puts their bytes in the place of their addresses.

    No proxy is asked: it would look names up for itself.

    Args:
        most_bytes: of one image.
        most_images: that are fetched for one request.
        seconds: for all of a request's images.
        allows: whether an address may be asked.
    """

    def __init__(
        self,
        *,
        most_bytes: int = 20 << 20,
        most_images: int = 16,
        seconds: float = 20.0,
        allows: Callable[[Address], bool] | None = None,
    ):
        self._most_bytes = most_bytes
        self._most_images = most_images
        self._seconds = seconds
        self._allows = allows or is_public
        # Of its own: servers that stall hold up other fetches, and nothing else.
        self._threads = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="images")

    async def __call__(self, fields: dict[str, Any]) -> None:
        """Fetch the images that a request names by address, and put them into its fields.

        Raises:
            ImageError: one cannot be had, or there are too many; its ``param`` says which.
        """
        found = list(addressed(fields))
        if len(found) > self._most_images:
            raise ImageError(
                f"the request names {len(found)} images by address, and this server fetches at "
                f"most {self._most_images} for one",
                param=found[self._most_images][1],
            )
        end = asyncio.get_running_loop().time() + self._seconds
        for part, param, url in found:
            try:
                async with asyncio.timeout_at(end):
                    data = await self._fetched(url)
            except TimeoutError:
                problem = f"it did not come within the {self._seconds:g} s of a request"
                raise not_had(problem, param) from None
            except (OSError, ValueError, SourceError, http.client.HTTPException) as error:
                raise not_had(reason(error), param) from error
            put(data, part)

    async def _fetched(self, url: str) -> bytes:
        fetch = Fetch(url, self._most_bytes, self._seconds, self._allows)
        thread = asyncio.get_running_loop().run_in_executor(self._threads, fetch.run)
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            fetch.abort()
            # What it came to interests nobody.
            thread.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise


class Fetch:
    """A GET request for one image, redirects followed; blocking.

    ``abort`` may be called from another thread than the one that ``run`` waits in.
    """

    def __init__(
        self, url: str, most_bytes: int, timeout: float, allows: Callable[[Address], bool]
    ):
        self._url = url
        self._most_bytes = most_bytes
        self._timeout = timeout
        self._allows = allows
        self._socket: socket.socket | None = None
        self._aborted = False

    def run(self) -> bytes:
        """The image's bytes.

        Raises:
            ValueError, SourceError: an address that may not be asked, or is none; too large.
            OSError, HTTPException: it does not answer, or not with status 200.
        """
        url = quote_url(self._url)
        for _ in range(MOST_REDIRECTS + 1):
            parts = urlsplit(url)
            try:
                with self._reply(parts) as reply:
                    if reply.status == 200:
                        return self._body(reply)
                location = reply.getheader("Location")
                if reply.status not in REDIRECTS or location is None:
                    raise ValueError(f"the server answered {reply.status} {reply.reason}".rstrip())
            finally:
                if self._socket is not None:
                    self._socket.close()
            url = quote_url(urljoin(url, location))
            if parts.scheme == "https" and not url.startswith("https:"):
                raise ValueError("it is redirected from https to something else")
        raise ValueError(f"more than {MOST_REDIRECTS} redirects")

    def abort(self) -> None:
        """Make ``run`` fail now."""
        self._aborted = True
        if self._socket is not None:
            with suppress(OSError):  # closed in the meantime
                self._socket.shutdown(socket.SHUT_RDWR)

    def _body(self, reply: http.client.HTTPResponse) -> bytes:
        data = bytearray()
        while block := reply.read1(BLOCK):
            data += block
            if len(data) > self._most_bytes:
                raise ValueError(f"it has more than {self._most_bytes >> 20} MiB")
        if reply.length:
            raise http.client.IncompleteRead(bytes(data), reply.length)
        return bytes(data)

    def _reply(self, parts: SplitResult) -> http.client.HTTPResponse:
        host, secure = parts.hostname, parts.scheme == "https"
        if parts.scheme not in ("http", "https") or not host or parts.username is not None:
            raise ValueError("its address is none of http(s), or has a user name in it")
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(host, parts.port)
        self._socket = self._connected(host, connection.port)
        if secure:
            self._socket = ssl.create_default_context().wrap_socket(
                self._socket, server_hostname=host, do_handshake_on_connect=False
            )
            self._socket.do_handshake()  # which ``abort`` cuts
        connection.sock = self._socket
        target = parts._replace(scheme="", netloc="").geturl() or "/"
        headers = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "webllm_py"}
        connection.request("GET", target, headers=headers)
        return connection.getresponse()

    def _connected(self, host: str, port: int) -> socket.socket:
        """A connection to the very address that was looked at."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if not all(self._allows(ipaddress.ip_address(where[0])) for *_, where in found):
            raise ValueError(f"{host} is not public, and this server asks none else")
        problem: OSError = ConnectionError()
        for family, kind, protocol, _, where in found[:MOST_ADDRESSES]:
            if self._aborted:
                raise ConnectionAbortedError
            connected = socket.socket(family, kind, protocol)
            connected.settimeout(self._timeout)
            try:
                connected.connect(where)
                return connected
            except OSError as error:
                connected.close()
                problem = error
        raise problem


def is_public(address: Address) -> bool:
    """Whether an address is a single computer's of the public internet: none of IANA's special
    purposes (RFC 6890), and none that stands for such a one of IPv4."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def addressed(fields: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """The parts of a chat request that name an image by address, where that stands, and the
    address. What is not as it should be is for who answers the request to refuse."""
    messages = fields.get("messages")
    for i, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for k, part in enumerate(content if isinstance(content, list) else ()):
            if not isinstance(part, dict):
                continue
            kind, url = part.get("type"), part.get("image")
            if kind == "image_url":
                url = part.get(kind)
                url = url.get("url") if isinstance(url, dict) else None
            if isinstance(url, str) and re.match("https?:", url, re.IGNORECASE):
                place = "image_url.url" if kind == "image_url" else "image"
                yield part, f"messages[{i}].content[{k}].{place}", url


def put(data: bytes, part: dict[str, Any]) -> None:
    """Have a part hold an image itself, in transformers' form (``webllm_py.api.messages``)."""
    if part["type"] == "image_url":
        options = part.pop("image_url")
        part.update({name: value for name, value in options.items() if name != "url"})
    part.update({"type": "image", "image": data})


def not_had(problem: str, param: str) -> ImageError:
    """The error of an image that does not come."""
    return ImageError(
        f"the image cannot be fetched: {problem}. A data:image/...;base64,... URL needs none",
        param=param,
    )


def reason(error: Exception) -> str:
    """Why a request failed, in words."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"the server's certificate is not trusted ({error.verify_message})"
        case socket.gaierror():
            return "the host name is not known"
        case OSError() | http.client.HTTPException():
            return f"no connection, or one that was cut ({error or type(error).__name__})"
    return str(error)
