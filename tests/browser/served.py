"""A served site for tests: files laid over it, other folders beside it, and what pages report."""

from __future__ import annotations

import json
import sys
import textwrap
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from page import wait_until

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))  # for demo.tools, which no wheel holds

from demo.tools.serve import SiteHandler, SiteServer  # noqa: E402

DIST = ROOT / "demo" / "dist"
OUT = ROOT / "tests" / "out"
SHARED = ROOT.parent / "shared" / "data"
POCKET = ROOT / "demo" / "pocket" / "pocket.gguf"


def run_python(selenium: Any, code: str, values: Mapping[str, object]) -> Any:
    """Run Python in the page, with these variables; the value of the last line, by way of JSON."""
    head = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    body = textwrap.dedent(code).strip().splitlines()
    body[-1] = f"json.dumps({body[-1]})"
    return json.loads(selenium.run_async(head + "\n".join(body)))


class TestSite:
    """A served folder, with ``../shared/data`` below ``/shared/``.

    Attributes:
        overlay: replaces or adds files, by path.
        folders: other folders, by the path that they lie below.
        reports: what pages POSTed, by path.
    """

    __test__ = False

    def __init__(self, folder: Path, overlay: dict[str, bytes] | None = None) -> None:
        site = self
        self.overlay = overlay or {}
        self.folders = {"/shared/": SHARED}
        self.reports: dict[str, Any] = {}

        class Handler(SiteHandler):
            def translate_path(self, path: str) -> str:
                for prefix, folder in site.folders.items():
                    if path.startswith(prefix):
                        return str(folder / path.removeprefix(prefix))
                return super().translate_path(path)

            def do_GET(self) -> None:  # noqa: N802 - the base class's name
                body = site.overlay.get(self.path.split("?")[0])
                if body is None:
                    super().do_GET()
                    return
                self.send_response(200)
                self.send_header("Content-Type", self.guess_type(self.path))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:  # noqa: N802 - the base class's name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                site.reports[self.path] = json.loads(body)
                self.send_response(204)
                self.end_headers()

        self._server = SiteServer(folder, handler=Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """Ends with a slash."""
        return self._server.url

    @property
    def port(self) -> int:
        """On 127.0.0.1."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for_report(self, path: str, seconds: float) -> Any:
        """What a page POSTed to that path."""
        wait_until(lambda: path in self.reports, seconds, f"a page POSTs to {path}")
        return self.reports.pop(path)
