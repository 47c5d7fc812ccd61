"""What the browser tests share: the served site, Chromium, and Python inside Pyodide.

Browser start-up dominates, so one Chromium serves all tests of the page, and pytest-pyodide's own
serves all tests that run Python. So do its pages: a module of tests gets a new one where it says
NEW_PAGE, or where the module before it left none. What goes on in one page stands together in
``IN_ONE_PAGE``.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chromium import UNCLEARED, new_driver
from javascript import run_javascript
from page import DESKTOP, Page, wait_until
from pytest_pyodide.fixture import selenium_common
from pytest_pyodide.runner import SeleniumChromeRunner
from pytest_pyodide.server import DefaultHandler
from selenium.webdriver import Chrome
from served import DIST, HERE, OUT, SHARED, TestSite

from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

FAILED = pytest.StashKey[bool]()
# Modules whose tests go on in the page that the module before them left, behind all others.
IN_ONE_PAGE = (
    *("test_in_pyodide", "test_in_pyodide_device", "test_families_in_pyodide"),
    *("test_fetch_browser", "test_store_browser", "test_survival_browser"),
    *("test_large_model", "test_read_ahead"),
    *("test_page", "test_page_models", "test_page_documents"),
    *("test_page_start", "test_page_conversation", "test_page_images", "test_page_jobs"),
    *("test_page_loading", "test_page_with_double"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A new page starts Python, and compiles a model's kernels, again: 5 s of the processor."""
    places = {name: place for place, name in enumerate(IN_ONE_PAGE)}
    items.sort(key=lambda item: places.get(item.path.stem, -1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know that a test failed."""
    report = yield
    item.stash[FAILED] = report.failed
    return report


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
    worker = (dist / "pyodide" / "js" / "worker.js").read_text(encoding="utf-8")
    head = "const SCRIPT = "
    assert head in worker
    worker = worker.replace(head, f"{head}{json.dumps(double)} + ")
    served = TestSite(dist, {"/pyodide/js/worker.js": worker.encode()})
    yield served
    served.close()


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    """One Chromium for all tests of the page."""
    browser = new_driver(UNCLEARED)
    browser.set_script_timeout(400)
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def tab(driver: Chrome) -> Page:
    """Its one tab."""
    return Page(driver)


@pytest.fixture
def page(tab: Page, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The tab at desktop size; a picture is kept of a failed test's last moment."""
    tab.resize(DESKTOP)
    tab.complaints()  # those of tests that have pages of their own
    yield tab
    if request.node.stash.get(FAILED, False):
        tab.screenshot(request.node.name.replace("/", "-"))
    assert tab.complaints() == []


@pytest.fixture(scope="module")
def example(tab: Page, site: TestSite) -> Iterator[Page]:
    """The example of JavaScript with the pocket model, from one module of its tests to the next."""
    address = f"{site.url}examples/javascript.html"
    if tab.driver.current_url != address:
        tab.resize((900, 300))
        tab.driver.get(address)
        tab.cdp("ServiceWorker.enable")
        wait_until(tab.one("#ask").is_enabled, 200, "the model is loaded")
    yield tab
    tab.complaints()  # the browser tells of every status that is an error


@pytest.fixture
def run(example: Page) -> Callable[..., Any]:
    """Run the body of an asynchronous function in the example's JavaScript; what it returns."""
    return partial(run_javascript, example)


@pytest.fixture(scope="module")
def long_model(tmp_path_factory: pytest.TempPathFactory, site: TestSite) -> Iterator[str]:
    """The address of a random model with a context of 4,096 tokens, a token a byte."""
    sizes = {"layers": 1, "hidden": 64, "ffn": 64, "heads": 2, "kv_heads": 1}
    folder = tmp_path_factory.mktemp("made")
    write_random_model(folder / "long.gguf", "long", replace(SHAPES["tiny"], **sizes), "q8_0")
    site.folders["/made/"] = folder
    yield "/made/long.gguf"
    del site.folders["/made/"]


@pytest.fixture
def pocket(page: Page, site: TestSite) -> Page:
    """The page as it ships with its pocket model, from one module of its tests to the next."""
    if page.driver.current_url != site.url:  # an example, or another site
        page.open(site.url)
    elif page.state == "empty" or page.text("#model-name") != "Pocket model":
        pick_pocket(page)
    page.wait_for("ready", seconds=100)
    return page


def pick_pocket(page: Page) -> None:
    page.one("#model-button").click()
    page.one("#pick-pocket").click()
    wait_until(lambda: page.state != "empty", 60, "it is loaded")


@pytest.fixture
def ready(page: Page, double_site: TestSite) -> Page:
    """A new chat with the double's pocket model."""
    here = page.driver.current_url.startswith(double_site.url)
    if not here or page.state not in ("ready", "empty"):
        page.open(double_site.url)  # costs a second
    elif page.state == "empty" or page.text("#model-name") != "Pocket model":
        pick_pocket(page)
    page.wait_for("ready")
    page.one("#new-chat").click()
    page.take_draft()
    while page.shown("#attachments"):
        page.one("#attachments button").click()
    return page


# --- pytest-pyodide: on our flags, with the site's Pyodide and wheels, and one Chromium for all


@pytest.fixture(scope="session")
def pyodide_site(dist: Path) -> Iterator[TestSite]:
    """Pyodide, the lock file, every wheel and pytest-pyodide's own pages."""
    served = TestSite(dist / "pyodide", dict(DefaultHandler.default_templates))
    yield served
    served.close()


@pytest.fixture(scope="session")
def pyodide_chromium(
    request: pytest.FixtureRequest, pyodide_site: TestSite
) -> Iterator[SeleniumChromeRunner]:
    """The Chromium of all tests that run Python."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SeleniumChromeRunner, "get_driver", lambda self, jspi=False: new_driver())
        server = ("127.0.0.1", pyodide_site.port, OUT / "no-server-log")
        with selenium_common(request, "chrome", server, load_pyodide=False) as runner:
            runner.set_script_timeout(400)  # a script may wait for shaders
            yield runner


def renew_tab(driver: Chrome) -> None:
    """Go on in another tab, in a process of its own: what the old one's pages took is free again,
    and a crash of theirs is over."""
    old = driver.window_handles
    driver.switch_to.new_window("tab")
    new = driver.current_window_handle
    for handle in old:
        driver.switch_to.window(handle)
        driver.close()
    driver.switch_to.window(new)


def open_page(page: SeleniumChromeRunner) -> None:
    """A new page, whose Python has our wheel installed as a notebook's user installs it."""
    renew_tab(page.driver)
    page.prepare_driver()
    page.javascript_setup()
    page.load_pyodide()
    page.initialize_pyodide()
    page.load_package("micropip")  # JupyterLite's kernel has it from the start
    wheel = json.loads((DIST / "site.json").read_text(encoding="utf-8"))["own_wheel"]
    page.run_async(f"""
        import micropip
        await micropip.install("{page.base_url}/{wheel}")
        """)


@pytest.fixture(scope="module")
def python(
    request: pytest.FixtureRequest, pyodide_chromium: SeleniumChromeRunner
) -> SeleniumChromeRunner:
    """A page with Python and our wheel."""
    page = pyodide_chromium
    new = getattr(request.module, "NEW_PAGE", False)
    if new or not page.driver.execute_script("return Boolean(globalThis.pyodide)"):
        open_page(page)
    return page


@pytest.fixture(scope="module")
def selenium(request: pytest.FixtureRequest, python: SeleniumChromeRunner) -> SeleniumChromeRunner:
    """The same, once it has run the Python that the module's tests begin with."""
    python.run_async(textwrap.dedent(request.module.PRELUDE))
    return python
