"""What the browser tests share: the served site, Chromium, and Python inside Pyodide.

Browser start-up dominates, so one Chromium serves all tests of the page, and pytest-pyodide's own
serves all tests that run Python.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from pytest_pyodide.runner import SeleniumChromeRunner
from pytest_pyodide.server import spawn_web_server
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # for demo.tools, which the wheel does not hold

from demo.tools.browsers import find_chromedriver, find_chromium  # noqa: E402
from demo.tools.serve import SiteHandler, SiteServer  # noqa: E402

DIST = ROOT / "demo" / "dist"
OUT = ROOT / "tests" / "out"
SHARED = ROOT.parent / "shared"

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--js-flags=--expose-gc",
)


class TestSite:
    """A served ``demo/dist``. ``overlay`` replaces files; ``reports`` holds what pages POSTed."""

    __test__ = False

    def __init__(self, overlay: dict[str, bytes] | None = None) -> None:
        site = self
        self.overlay = overlay or {}
        self.reports: dict[str, Any] = {}

        class Handler(SiteHandler):
            def do_GET(self) -> None:
                body = site.overlay.get(self.path.split("?")[0])
                if body is None:
                    super().do_GET()
                    return
                self.send_response(200)
                self.send_header("Content-Type", self.guess_type(self.path))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                site.reports[self.path] = json.loads(body)
                self.send_response(204)
                self.end_headers()

        self._server = SiteServer(DIST, handler=Handler)
        self.url = self._server.url
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for_report(self, path: str, seconds: float) -> Any:
        wait_until(lambda: path in self.reports, seconds, f"a page POSTs to {path}")
        return self.reports[path]


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true result; fails with ``what`` when there was none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    pytest.fail(f"waited {seconds:g} s in vain: {what}")


def new_driver() -> Chrome:
    """A headless Chromium with WebGPU on SwiftShader and a fresh profile."""
    options = Options()
    for flag in FLAGS:
        options.add_argument(flag)
    browser = find_chromium()
    if browser is None:
        pytest.fail("no Chromium on this machine: run `python build.py test`, which installs one")
    options.binary_location = str(browser)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = find_chromedriver()
    return Chrome(options, Service(str(driver)) if driver else Service())


@pytest.fixture(scope="session")
def dist() -> Path:
    """The built site. build.py makes it anew; here it must only be there."""
    if not (DIST / "site.json").is_file():
        pytest.fail("demo/dist is missing: run `python build.py demo --no-serve` first")
    return DIST


@pytest.fixture(scope="session")
def site(dist: Path) -> Iterator[TestSite]:
    """The site as it ships."""
    served = TestSite()
    yield served
    served.close()


@pytest.fixture(scope="session")
def fake_site(dist: Path) -> Iterator[TestSite]:
    """The site with the engine's test double in it."""
    double = (Path(__file__).parent / "fake_engine.py").read_text()
    glue = (dist / "worker.py").read_text().replace("from __future__ import annotations\n", "")
    served = TestSite({"/worker.py": f"{double}\n{glue}".encode()})
    yield served
    served.close()


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    """One Chromium for all tests of the page."""
    OUT.mkdir(exist_ok=True)
    browser = new_driver()
    browser.set_script_timeout(60)
    yield browser
    browser.quit()


# --- pytest-pyodide: its `selenium` fixture, on our flags and the site's own Pyodide and wheels


@pytest.fixture(scope="module")
def runtime() -> str:
    """Only Chromium; pytest-pyodide would ask for --runtime."""
    return "chrome"


@pytest.fixture(scope="session")
def web_server_main(dist: Path) -> Iterator[tuple[str, int, Path]]:
    """Serves Pyodide, the lock file and every wheel to pytest-pyodide's pages."""
    SeleniumChromeRunner.get_driver = lambda self, jspi=False: new_driver()
    here = Path.cwd()
    with spawn_web_server(dist / "pyodide") as output:
        yield output
    os.chdir(here)
