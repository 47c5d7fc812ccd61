"""The Chromium that the tests drive."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

sys.path.insert(0, str(Path(__file__).parents[1]))  # for demo.tools, which no wheel holds

from demo.tools.browsers import find_chromedriver, find_chromium
from demo.tools.headless import COMMON_FLAGS, SWIFTSHADER_FLAGS

__all__ = ["UNCLEARED", "find_chromium", "new_driver"]

FLAGS = (
    *COMMON_FLAGS,
    *SWIFTSHADER_FLAGS,
    # What ships needs no other server, and no test does.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--js-flags=--expose-gc",
)
# Chromium clears a kernel's workgroup memory before it begins, which ours do without: SwiftShader
# compiles that for as long as all the rest. In tests/browser's Pyodide models run with it.
UNCLEARED = "--enable-dawn-features=disable_workgroup_init"


def new_driver(*flags: str) -> Chrome:
    """A headless Chromium with WebGPU on SwiftShader, a fresh profile, and flags besides FLAGS."""
    browser = find_chromium()
    if browser is None:
        pytest.fail("no Chromium on this machine: run `python build.py test`, which installs one")
    options = Options()
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    options.binary_location = str(browser)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = find_chromedriver()
    driver = Chrome(options, Service(str(found)) if found else Service())
    driver.command_executor.client_config.timeout = 600  # a script may wait for shaders
    return driver
