"""What the browser tests share: the served site, Chromium, and Python inside Pyodide.

Browser start-up dominates, so one Chromium serves all tests of the page, and pytest-pyodide's own
serves all tests that run Python.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page import DESKTOP, OUT, Page, wait_until
from pytest_pyodide.runner import SeleniumChromeRunner
from pytest_pyodide.server import DefaultHandler
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))  # for demo.tools, which no wheel holds

from demo.tools.browsers import find_chromedriver, find_chromium  # noqa: E402
from demo.tools.serve import SiteHandler, SiteServer  # noqa: E402

DIST = ROOT / "demo" / "dist"
SHARED = ROOT.parent / "shared" / "data"

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


def new_driver() -> Chrome:
    """A headless Chromium with WebGPU on SwiftShader and a fresh profile."""
    browser = find_chromium()
    if browser is None:
        pytest.fail("no Chromium on this machine: run `python build.py test`, which installs one")
    options = Options()
    for flag in FLAGS:
        options.add_argument(flag)
    options.binary_location = str(browser)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = find_chromedriver()
    return Chrome(options, Service(str(driver)) if driver else Service())


@pytest.fixture(scope="session")
def dist() -> Path:
    """The built site; ``build.py test`` makes it anew."""
    if not (DIST / "site.json").is_file():
        pytest.fail("demo/dist is missing: run `python build.py demo --no-serve` first")
    return DIST


@pytest.fixture(scope="session")
def shared() -> Path:
    """Test data that nobody here wrote."""
    if not SHARED.is_dir():
        pytest.skip(f"the test data is missing: {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def site(dist: Path) -> Iterator[TestSite]:
    """The site as it ships."""
    served = TestSite(dist)
    yield served
    served.close()


@pytest.fixture(scope="session")
def double_site(dist: Path) -> Iterator[TestSite]:
    """The site with a test double in place of the engine."""
    double = (HERE / "fake_engine.py").read_text(encoding="utf-8")
    glue = (dist / "worker.py").read_text(encoding="utf-8")
    glue = glue.replace("from __future__ import annotations\n", "")
    served = TestSite(dist, {"/worker.py": f"{double}\n{glue}".encode()})
    yield served
    served.close()


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    """One Chromium for all tests of the page."""
    browser = new_driver()
    browser.set_script_timeout(60)
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def tab(driver: Chrome) -> Page:
    """Its one tab."""
    return Page(driver)


@pytest.fixture
def page(tab: Page, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The tab at desktop size; a picture is kept of a test's last moment."""
    tab.resize(DESKTOP)
    yield tab
    tab.screenshot(request.node.name.replace("/", "-"))
    assert tab.complaints() == []


# --- pytest-pyodide: its `selenium` fixture, on our flags and with the site's Pyodide and wheels


@pytest.fixture(scope="module")
def runtime() -> str:
    """Only Chromium, without asking for --runtime."""
    return "chrome"


@pytest.fixture(scope="session")
def pyodide_site(dist: Path) -> Iterator[TestSite]:
    """Pyodide, the lock file, every wheel and pytest-pyodide's own pages."""
    served = TestSite(dist / "pyodide", dict(DefaultHandler.default_templates))
    yield served
    served.close()


@pytest.fixture(scope="session")
def web_server_main(pyodide_site: TestSite) -> tuple[str, int, Path]:
    """What pytest-pyodide serves its pages from, instead of a server of its own."""
    SeleniumChromeRunner.get_driver = lambda self, jspi=False: new_driver()
    return "127.0.0.1", pyodide_site.port, OUT / "no-server-log"
