"""Browsers and a GPU adapter for the tests: found where they are, installed where they are not.

The tests import the ``find_`` functions; ``build.py test`` calls the ``ensure_`` ones.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from .environment import Environment
from .steps import StepFailedError, Steps

__all__ = [
    "ensure_adapter",
    "ensure_chromium",
    "ensure_firefox",
    "find_chromedriver",
    "find_chromium",
    "find_firefox",
]

_CHROMIUM_NAMES = (
    "chromium", "google-chrome", "google-chrome-stable", "chromium-browser", "chrome", "msedge",
)  # fmt: skip
_CHROMIUM_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
_PLAYWRIGHT_CACHES = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright")
_PLAYWRIGHT_CHROMIUM = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium-*/chrome-win*/chrome.exe",
)
_FIREFOX_NAMES = ("firefox-esr", "firefox")
_FIREFOX_PLACES = (
    "/Applications/Firefox.app/Contents/MacOS/firefox",
    "C:/Program Files/Mozilla Firefox/firefox.exe",
)


def find_chromium() -> Path | None:
    """A Chrome, Chromium or Edge of this machine, else one that playwright fetched."""
    return _find(_CHROMIUM_NAMES, _CHROMIUM_PLACES) or _find_playwright_chromium()


def find_chromedriver() -> Path | None:
    """The driver that a package put on the PATH; without one selenium fetches its own."""
    found = shutil.which("chromedriver")
    return Path(found) if found else None


def find_firefox() -> Path | None:
    """A Firefox of this machine."""
    return _find(_FIREFOX_NAMES, _FIREFOX_PLACES)


def ensure_chromium(environment: Environment, steps: Steps) -> None:
    """A Chromium, and the driver that belongs to it."""
    missing = not find_chromium()
    if _can_apt() and (missing or not find_chromedriver()):
        _apt(steps, "chromium", "chromium-driver")
    elif missing:
        steps.doing("fetching Chromium with playwright")
        environment.pip(steps, "install", "--quiet", "playwright")
        # The small headless shell that playwright prefers has no WebGPU.
        steps.run(
            [environment.python, "-m", "playwright", "install", "--no-shell", "chromium"],
            hint="Install Chrome or Chromium by hand, then run the tests again.",
        )
    browser = find_chromium()
    if browser is None:
        raise StepFailedError("No Chromium was found after its installation. Install it by hand.")
    steps.note(str(browser))


def ensure_firefox(steps: Steps) -> None:
    """A Firefox where one can be had; its test is skipped, and says so, where not."""
    if find_firefox() is None and _can_apt():
        _apt(steps, "firefox-esr")
    steps.note(str(find_firefox() or "none: the Firefox test will be skipped"))


def ensure_adapter(environment: Environment, steps: Steps) -> None:
    """An adapter for the native tests; Mesa's lavapipe does on a machine without a GPU."""
    adapter = _adapter(environment, steps)
    if adapter is None and _can_apt():
        _apt(steps, "mesa-vulkan-drivers")
        adapter = _adapter(environment, steps)
    steps.note(adapter or "none: install mesa-vulkan-drivers, or the tests that need one will skip")


def _find(names: tuple[str, ...], places: tuple[str, ...]) -> Path | None:
    for name in names:
        found = shutil.which(name)
        if found:
            return Path(found)
    return next((Path(place) for place in places if Path(place).is_file()), None)


def _find_playwright_chromium() -> Path | None:
    caches = [os.environ.get("PLAYWRIGHT_BROWSERS_PATH"), *_PLAYWRIGHT_CACHES]
    if "LOCALAPPDATA" in os.environ:
        caches.append(f"{os.environ['LOCALAPPDATA']}/ms-playwright")
    for cache in caches:
        for pattern in _PLAYWRIGHT_CHROMIUM if cache else ():
            newest = sorted(Path(str(cache)).expanduser().glob(pattern))
            if newest:
                return newest[-1]
    return None


def _can_apt() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _apt(steps: Steps, *packages: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    hint = f"Install {' and '.join(packages)} by hand, then try again."
    steps.run(["apt-get", "update", "--quiet"], hint=hint, env=environment)
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    steps.run(command, hint=hint, env=environment)


def _adapter(environment: Environment, steps: Steps) -> str | None:
    # OpenGL has neither f16 nor subgroups: it would leave most kernel variants untested.
    question = (
        "import wgpu\n"
        "for adapter in wgpu.gpu.enumerate_adapters_sync():\n"
        "    if adapter.info['backend_type'] != 'OpenGL':\n"
        "        print('adapter:', adapter.info['device'], 'on', adapter.info['backend_type'])\n"
    )
    # Without XDG_RUNTIME_DIR the loader of wgpu-py prints a warning.
    variables = {"XDG_RUNTIME_DIR": "/tmp"} | os.environ
    try:
        answer = steps.run([environment.python, "-c", question], hint="", env=variables)
    except StepFailedError:
        return None  # no Vulkan loader at all, or one that crashes
    names = [line[9:] for line in answer.splitlines() if line.startswith("adapter: ")]
    return names[0] if names else None
