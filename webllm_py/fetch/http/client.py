"""GET requests for CPython over kept connections (blocking, standard library only)."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from webllm_py.errors import SourceError
from webllm_py.fetch.http.url import quote_url, status_error

__all__ = ["HttpClient"]

MAX_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
# A redirect's body up to this size is read, so that its connection can be used again.
SMALL_BODY = 1 << 16


class HttpClient:
    """One reply at a time; connections are kept for the next request.

    ``abort`` may be called from another thread than the one that waits in ``get`` or in a reply.
    """

    def __init__(self, timeout: float, headers: Mapping[str, str] | None = None):
        """``headers``: for the host that is asked, not for where it redirects to."""
        self._timeout = timeout
        self._headers = dict(headers or {})
        self._connections: dict[tuple[str, str], http.client.HTTPConnection] = {}
        self._current: http.client.HTTPConnection | None = None
        self.aborted = False

    def get(
        self, url: str, offset: int, until: int | None = None, unless: str | None = None
    ) -> http.client.HTTPResponse:
        """The reply to a request for the bytes from ``offset`` up to ``until``, redirects followed.

        Args:
            until: None for all bytes from ``offset`` on.
            unless: the file's strong ETag; of another file all bytes come (If-Range).

        Raises:
            SourceError: no connection, a status other than 200, 206 or 416, or a bad redirect.
        """
        target = quote_url(url)
        first = urlsplit(target).netloc
        asked = {"Range": f"bytes={offset}-{'' if until is None else until - 1}"}
        if unless is not None:
            asked["If-Range"] = unless
        for _ in range(MAX_REDIRECTS):
            parts = urlsplit(target)
            own = self._headers if parts.netloc == first else {}
            reply = self._send(parts, asked | own)
            if reply.status in (200, 206, 416):
                return reply
            location = reply.getheader("Location")
            if reply.status not in REDIRECTS or location is None:
                self.drop(reply)
                wait = reply.getheader("Retry-After")
                raise status_error(url, reply.status, reply.reason, wait)
            if reply.length is not None and reply.length <= SMALL_BODY:
                reply.read()
            else:
                self.drop(reply)
            target = quote_url(urljoin(target, location))
            allowed = ("https",) if parts.scheme == "https" else ("http", "https")
            if urlsplit(target).scheme not in allowed:
                raise SourceError(f"{url}: refused to follow a redirect to {target}")
        raise SourceError(f"{url}: more than {MAX_REDIRECTS} redirects")

    def drop(self, reply: http.client.HTTPResponse) -> None:
        """Be done with a reply; its connection is kept only if nothing of the body is left."""
        if not reply.isclosed():
            reply.close()
            if self._current is not None:
                self._current.close()  # http.client connects anew for the next request

    def abort(self) -> None:
        """Make a call that waits in another thread fail now; nothing works afterwards."""
        self.aborted = True
        for connection in list(self._connections.values()):
            if connection.sock is not None:
                with contextlib.suppress(OSError):  # closed in the meantime
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _send(self, parts: SplitResult, asked: Mapping[str, str]) -> http.client.HTTPResponse:
        headers = {"Accept-Encoding": "identity", "User-Agent": "webllm_py", **asked}
        connection = None
        try:
            connection, target = self._connection(parts)
            kept = connection.sock is not None
            try:
                reply = self._exchange(connection, target, headers)
            except (ConnectionError, http.client.BadStatusLine):
                if not kept:
                    raise
                # A server may close an idle connection at any time: that is no failure yet.
                connection.close()
                reply = self._exchange(connection, target, headers)
        except (OSError, ValueError, http.client.HTTPException) as error:
            # ValueError: a port that is no number, a host name that cannot be encoded
            if connection is not None:
                connection.close()
            lasting = isinstance(error, (ssl.SSLCertVerificationError, socket.gaierror, ValueError))
            raise SourceError(
                f"{parts.geturl()}: {self._reason(error)}",
                transient=not lasting and not self.aborted,
            ) from error
        self._current = connection
        return reply

    def _exchange(
        self, connection: http.client.HTTPConnection, target: str, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        if connection.sock is None:
            connection.connect()
        if self.aborted:  # while there was no socket yet that abort could have cut
            raise ConnectionAbortedError
        connection.request("GET", target, headers=headers)
        return connection.getresponse()

    def _connection(self, parts: SplitResult) -> tuple[http.client.HTTPConnection, str]:
        """The connection to ask for a URL, and the request target to send over it."""
        host, port = parts.hostname or "", parts.port
        if parts.scheme not in ("http", "https") or not host:
            raise SourceError(f"{parts.geturl()} is not an http:// or https:// address")
        if parts.username is not None:
            raise SourceError(f"a user name in an address ({host}) is not supported")
        target = parts._replace(scheme="", netloc="").geturl() or "/"
        proxy = None if proxy_bypass(host) else getproxies().get(parts.scheme)
        key = (parts.scheme, parts.netloc)
        if proxy is not None and parts.scheme == "http":
            target = parts.geturl()
        if key not in self._connections:
            self._connections[key] = self._new_connection(parts.scheme, host, port, proxy)
        return self._connections[key], target

    def _new_connection(
        self, scheme: str, host: str, port: int | None, proxy: str | None
    ) -> http.client.HTTPConnection:
        def connect(to_host: str, to_port: int | None) -> http.client.HTTPConnection:
            if scheme == "http":
                return http.client.HTTPConnection(to_host, to_port, timeout=self._timeout)
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(
                to_host, to_port, timeout=self._timeout, context=context
            )

        if proxy is None:
            return connect(host, port)
        via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        connection = connect(via.hostname or "", via.port or 80)
        if scheme == "https":
            connection.set_tunnel(host, port, _proxy_headers(via))
        return connection

    def _reason(self, error: Exception) -> str:
        if self.aborted:
            return "the read was cancelled"
        if isinstance(error, TimeoutError):
            return f"no answer for {self._timeout:g} s. Check the network and load again."
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the server's certificate is not trusted ({error.verify_message})"
        if isinstance(error, socket.gaierror):
            return "the host name is not known. Check the spelling and the network."
        return f"no connection ({error or type(error).__name__}). Check the network and load again."


def _proxy_headers(via: SplitResult) -> dict[str, str]:
    if via.username is None:
        return {}
    login = f"{unquote(via.username)}:{unquote(via.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
