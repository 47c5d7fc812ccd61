"""Opens a page of a local site in headless Chromium and waits for what it reports."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from .browsers import find_chromium
from .serve import SiteHandler, SiteServer

__all__ = [
    "COMMON_FLAGS",
    "SWIFTSHADER_FLAGS",
    "chromium_flags",
    "new_profile",
    "reporting_site",
    "run_page",
    "visit",
]

COMMON_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
)
# Or kernels' times are rounded to 0.1 ms.
EXACT_TIMES = "--disable-dawn-features=timestamp_quantization"
# Chromium on Linux finds no NVIDIA GPU and no f16 without these.
NVIDIA_FLAGS = (
    "--use-gl=angle",
    "--use-angle=vulkan",
    "--enable-features=Vulkan,DefaultANGLEVulkan,VulkanFromANGLE",
    "--ignore-gpu-blocklist",
    "--enable-dawn-features=vulkan_enable_f16_on_nvidia,allow_unsafe_apis",
)
SWIFTSHADER_FLAGS = ("--use-webgpu-adapter=swiftshader",)

Reports = queue.Queue[tuple[str, dict[str, Any]]]
OnSample = Callable[[int, dict[str, Any]], object]


def run_page(
    site: Path,
    page: str,
    query: Mapping[str, str],
    *,
    on_step: Callable[[str], object],
    chromium: Path | None = None,
    mounts: Mapping[str, Path] | None = None,
    isolated: bool = False,
    on_sample: OnSample = lambda browser, sample: None,
    flags: Sequence[str] = (),
) -> dict[str, Any]:
    """Open a page of the site, in a browser with a profile of its own; the page's last message, or
    "message" with what went wrong.

    Args:
        query: of the page's address.
        on_step: told the text of each message "step".
        on_sample: told the browser's process id and each message "sample".
        flags: for the browser, beside its usual ones.
        chromium: the browser; None takes the one of this machine.
        mounts: other folders, by the name that they are served under.
        isolated: whether pages are cross-origin isolated, as threads of WebAssembly need it, and
            a clock with steps of 5 us instead of 100.
    """
    with (
        reporting_site(site, mounts or {}, isolated=isolated) as (address, reports),
        new_profile() as profile,
    ):
        url = f"{address}{page}?{urlencode(query)}"
        return visit(
            url,
            reports,
            profile,
            on_step=on_step,
            chromium=chromium,
            on_sample=on_sample,
            flags=flags,
        )


@contextmanager
def reporting_site(
    site: Path, mounts: Mapping[str, Path] = MappingProxyType({}), *, isolated: bool = False
) -> Iterator[tuple[str, Reports]]:
    """Serve a site; its address, and what its pages report. Arguments as for ``run_page``."""
    reports: Reports = queue.Queue()
    with SiteServer(site, handler=handler_for(reports, mounts, isolated)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.url, reports
        finally:
            server.shutdown()


@contextmanager
def new_profile() -> Iterator[Path]:
    """A folder for a browser's profile, which is deleted afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def visit(
    url: str,
    reports: Reports,
    profile: Path,
    *,
    on_step: Callable[[str], object] = lambda text: None,
    chromium: Path | None = None,
    on_sample: OnSample = lambda browser, sample: None,
    flags: Sequence[str] = (),
) -> dict[str, Any]:
    """Open an address in a browser with this profile; the page's last message, or "message" with
    what went wrong. The browser is closed afterwards. Arguments as for ``run_page``."""
    chromium = chromium or find_chromium()
    if chromium is None:
        return {"message": "no Chrome, Chromium or Edge was found on this machine"}
    try:
        browser = subprocess.Popen(
            [str(chromium), *chromium_flags(), *flags, f"--user-data-dir={profile}", url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        return {"message": f"{chromium} could not be started: {error}"}
    try:
        return last_report(browser, reports, on_step, on_sample)
    finally:
        browser.terminate()
        browser.wait()


def last_report(
    browser: subprocess.Popen[bytes],
    reports: Reports,
    on_step: Callable[[str], object],
    on_sample: OnSample,
) -> dict[str, Any]:
    """Wait for the page's last message."""
    while True:
        try:
            kind, message = reports.get(timeout=1)
        except queue.Empty:
            if browser.poll() is not None:
                return {"message": f"the browser ended with status {browser.returncode}"}
            continue
        if kind == "sample":
            on_sample(browser.pid, message)
        elif kind == "step":
            on_step(message["text"])
        else:
            return message


def handler_for(reports: Reports, mounts: Mapping[str, Path], isolated: bool) -> type[SiteHandler]:
    """The site, the other folders beside it, and a place to report to."""

    class Handler(SiteHandler):
        def translate_path(self, path: str) -> str:
            name, _, rest = path.removeprefix("/").partition("/")
            if name not in mounts:
                return super().translate_path(path)
            site = self.directory
            self.directory = os.fspath(mounts[name])
            try:
                return super().translate_path(f"/{rest}")
            finally:
                self.directory = site

        def end_headers(self) -> None:
            if isolated:
                self.send_header("Cross-Origin-Opener-Policy", "same-origin")
                self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            super().end_headers()

        def do_POST(self) -> None:  # noqa: N802 - the base class's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reports.put((self.path.removeprefix("/report/"), json.loads(body)))
            self.send_response(204)
            self.end_headers()

    return Handler


def chromium_flags() -> tuple[str, ...]:
    """What makes headless Chromium use the GPU of this machine, or its own CPU adapter."""
    flags = (*COMMON_FLAGS, EXACT_TIMES)
    if sys.platform != "linux":
        return flags
    if Path("/proc/driver/nvidia/version").exists():
        return (*flags, *NVIDIA_FLAGS)
    if Path("/dev/dri/renderD128").exists():
        return (*flags, "--enable-features=Vulkan")
    return (*flags, *SWIFTSHADER_FLAGS)
