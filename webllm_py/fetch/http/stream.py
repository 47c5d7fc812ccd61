"""One file over HTTP as a stream that can jump (blocking; runs in a thread, see ``native.py``)."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping

from webllm_py.errors import ChangedFileError, SourceError
from webllm_py.fetch.http.client import HttpClient
from webllm_py.fetch.http.url import FileFacts, web_page_error

__all__ = ["HttpStream"]

# Reading on over a gap is quicker than a new request, up to about this many bytes.
SKIP_LIMIT = 1 << 20
DISCARD_BLOCK = 1 << 18


class HttpStream:
    """Reads one URL at any place; reading on where the last read ended costs no request.

    Servers without range support work: what lies before the wanted bytes is read and discarded.

    Attributes:
        until: where requests end. None: at the file's end. A server that then sends other bytes
            than those asked for is refused.
    """

    def __init__(
        self,
        url: str,
        facts: FileFacts,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ):
        self.until: int | None = None
        self._url = url
        self._facts = facts
        self._timeout = timeout
        self._client = HttpClient(timeout, headers)
        self._reply: http.client.HTTPResponse | None = None
        self._position = 0  # in the file, of the reply's next byte
        self._end: int | None = None  # in the file, after the reply's last byte; None: not told

    def seek(self, offset: int) -> None:
        """Be ready to receive from ``offset`` on; the first call learns the file's facts."""
        gap = offset - self._position
        near = gap <= SKIP_LIMIT or not self._facts.ranges
        inside = self._end is None or offset < self._end
        if self._reply is None or gap < 0 or not near or not inside:
            self.pause()
            etag = self._facts.etag
            unless = etag if etag is not None and etag.startswith('"') and self.until else None
            reply = self._client.get(self._url, offset, self.until, unless)
            self._reply = reply
            self._check_head(reply)
            self._locate(reply, offset)
        self._discard(offset - self._position)

    def read_some(self, offset: int, view: memoryview) -> int:
        """Fill ``view`` from ``offset`` on. Fewer bytes are written where the file ends, and where
        a failure that may pass comes after some of them."""
        done, facts = 0, self._facts
        try:
            while done < len(view) and (facts.size is None or offset + done < facts.size):
                # A server may send less than asked for in one reply: seek then asks for the rest.
                self.seek(offset + done)
                count = self._receive(view[done:])
                if count == 0:
                    break
                done += count
        except SourceError as error:
            if done == 0 or not error.transient:
                raise
        return done

    def pause(self) -> None:
        """Be done with the open reply."""
        reply, self._reply = self._reply, None
        if reply is not None:
            self._client.drop(reply)

    def abort(self) -> None:
        """Make a read that waits in another thread fail now; the stream is dead afterwards."""
        self._client.abort()

    def close(self) -> None:
        """Close all connections."""
        self.pause()
        self._client.close()

    def _check_head(self, reply: http.client.HTTPResponse) -> None:
        if (reply.getheader("Content-Type") or "").lower().startswith("text/html"):
            raise self._failed(web_page_error(self._url))
        if (reply.getheader("Content-Encoding") or "identity") != "identity":
            raise self._error("the server sends the file compressed, although asked not to")
        etag, known = reply.getheader("ETag"), self._facts.etag
        if etag is not None and known is not None and etag != known:
            raise self._changed("another ETag")
        modified, before = reply.getheader("Last-Modified"), self._facts.modified
        if None in (etag, known) and None not in (modified, before) and modified != before:
            raise self._changed("another Last-Modified")
        self._facts.etag = etag or known
        self._facts.modified = modified or before

    def _locate(self, reply: http.client.HTTPResponse, offset: int) -> None:
        """Where in the file the reply's body begins and ends, and how long the file is."""
        if reply.status == 200 and self.until is not None and offset > 0:
            self._facts.ranges = False
            raise self._error(f"asked for the bytes from {offset} on, the server sent all of them")
        if reply.status == 200:
            self._position, self._end, size = 0, reply.length, reply.length
            self._facts.ranges = False
        elif reply.status == 206:
            self._position, self._end, size = self._content_range(reply, offset)
            self._facts.ranges = True
        else:  # 416: nothing lies there
            match = re.fullmatch(r"bytes \*/(\d{1,18})", reply.getheader("Content-Range") or "")
            if match is None or int(match[1]) > offset:
                raise self._error(f"the server refuses to send the bytes from {offset} on")
            self._position, self._end, size = offset, offset, int(match[1])
            self.pause()
        facts = self._facts
        if facts.answered and size != facts.size and None not in (size, facts.size):
            raise self._changed(f"{facts.size} bytes before, {size} now")
        facts.size = facts.size if size is None else size
        facts.answered = True

    def _content_range(
        self, reply: http.client.HTTPResponse, offset: int
    ) -> tuple[int, int, int | None]:
        text = reply.getheader("Content-Range") or ""
        match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", text)
        if match is None or int(match[1]) != offset or int(match[2]) < offset:
            raise self._error(f"asked for the bytes from {offset} on, the server sent {text!r}")
        end = int(match[2]) + 1
        size = None if match[3] == "*" else int(match[3])
        if (reply.length is not None and reply.length != end - offset) or (size and end > size):
            raise self._error(f"the server contradicts itself: {reply.length} bytes for {text!r}")
        return offset, end, size

    def _discard(self, count: int) -> None:
        block = memoryview(bytearray(min(count, DISCARD_BLOCK)))
        while count > 0:
            got = self._receive(block[: min(count, len(block))])
            if got == 0:
                return  # the file ends before: read_some receives nothing then
            count -= got

    def _receive(self, view: memoryview) -> int:
        """Some bytes of the open reply; 0 only where the file ends."""
        if self._reply is None:
            return 0
        try:
            count = self._reply.readinto(view)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise self._error(self._why_broken(error)) from error
        self._position += count
        self._facts.received += count
        if count == 0 and self._end is None:
            self._end = self._facts.size = self._position
        elif count == 0 and self._position != self._end:
            raise self._error(self._why_broken(None))
        return count

    def _why_broken(self, error: Exception | None) -> str:
        if self._client.aborted:
            return "the read was cancelled"
        cut = f"no byte came for {self._timeout:g} s" if isinstance(error, TimeoutError) else ""
        of = "" if self._end is None else f" of {self._end}"
        return (
            f"{cut or 'the connection was cut'} at byte {self._position}{of}. "
            "Check the network and load again."
        )

    def _error(self, problem: str) -> SourceError:
        transient = not self._client.aborted
        return self._failed(SourceError(f"{self._url}: {problem}", transient=transient))

    def _changed(self, how: str) -> SourceError:
        return self._failed(
            ChangedFileError(
                f"{self._url}: the file changed while it was read: {how}. Load it again."
            )
        )

    def _failed(self, error: SourceError) -> SourceError:
        self.close()
        return error
