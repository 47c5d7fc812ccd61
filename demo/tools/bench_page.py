"""``python -m demo.tools.bench_page bench``: what ``webllm-py bench`` does, in headless Chromium.

Serves the built site and the model, opens the bench page, and prints what that reports.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

from webllm_py.bench import BenchOptions
from webllm_py.cli.arguments import parse_arguments
from webllm_py.cli.bench import bench_options, model_of
from webllm_py.cli.progress import ProgressLine
from webllm_py.errors import WebLLMError

from .browsers import find_chromium
from .serve import SiteHandler, SiteServer

__all__ = ["bench_in_chromium", "chromium_flags", "main"]

DIST = Path(__file__).resolve().parents[1] / "dist"
COMMON_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-webgpu",
    # Or kernels' times are rounded to 0.1 ms.
    "--disable-dawn-features=timestamp_quantization",
)
# Chromium on Linux finds no NVIDIA GPU and no f16 without these.
NVIDIA_FLAGS = (
    "--use-gl=angle",
    "--use-angle=vulkan",
    "--enable-features=Vulkan,DefaultANGLEVulkan,VulkanFromANGLE",
    "--ignore-gpu-blocklist",
    "--enable-dawn-features=vulkan_enable_f16_on_nvidia,allow_unsafe_apis",
)
SWIFTSHADER_FLAGS = ("--use-webgpu-adapter=swiftshader",)


def main(words: list[str]) -> int:
    """Run with the words of ``webllm-py bench``, "bench" the first of them; the exit code."""
    options = parse_arguments(words)
    progress = ProgressLine(sys.stderr)
    try:
        wanted, source = bench_options(options), model_of(options)
        report = bench_in_chromium(
            DIST, source, wanted, load_options(options), lambda text: progress.say(f"{text} ...")
        )
    except WebLLMError as error:
        progress.clear()
        print(f"error: {error}", file=sys.stderr)
        return 1
    progress.clear()
    if "message" in report:
        print(f"error: {report['message']}", file=sys.stderr)
        return 1
    print(json.dumps(report["results"], indent=2) if options.json else report["table"])
    return 0


def load_options(options: Namespace) -> dict[str, Any]:
    """What ``demo/bench/worker.py`` loads the model with."""
    load = {
        "quantize": options.quantize,
        "kv_dtype": options.kv_dtype,
        "f16": not options.no_f16,
        "subgroups": not options.no_subgroups,
        "power_preference": options.device,
    }
    return load | ({"context_length": options.context} if options.context else {})


def bench_in_chromium(
    dist: Path,
    source: str | Path | None,
    wanted: BenchOptions,
    load: dict[str, Any],
    on_step: Any,
) -> dict[str, Any]:
    """Run the page; its last message: "results" and "table", or "message" with what went wrong."""
    chromium = find_chromium()
    if chromium is None:
        return {"message": "no Chrome, Chromium or Edge was found on this machine"}
    reports: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
    address, folder = served(source)
    query = {"bench": json.dumps(asdict(wanted)), "load": json.dumps(load), "report": ""}
    query |= {"model": address} if address else {}
    with SiteServer(dist, handler=handler_for(folder, reports)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            page = f"{server.url}bench/index.html?{urlencode(query)}"
            flags = [*chromium_flags(), f"--user-data-dir={profile}"]
            browser = subprocess.Popen(
                [str(chromium), *flags, page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            try:
                return last_report(browser, reports, on_step)
            finally:
                browser.terminate()
                browser.wait()
                server.shutdown()


def last_report(
    browser: subprocess.Popen[bytes],
    reports: queue.Queue[tuple[str, dict[str, Any]]],
    on_step: Any,
) -> dict[str, Any]:
    """Wait for the page's last message."""
    while True:
        try:
            kind, message = reports.get(timeout=1)
        except queue.Empty:
            if browser.poll() is not None:
                return {"message": f"the browser ended with status {browser.returncode}"}
            continue
        if kind != "step":
            return message
        on_step(message["text"])


def served(source: str | Path | None) -> tuple[str | None, Path | None]:
    """The address of the model for the page, and the local folder that it is served from."""
    if source is None or not Path(source).exists():
        return (None if source is None else str(source)), None
    path = Path(source).resolve()
    if path.is_dir():
        return "bench-model/", path
    return f"bench-model/{quote(path.name)}", path.parent


def handler_for(
    folder: Path | None, reports: queue.Queue[tuple[str, dict[str, Any]]]
) -> type[SiteHandler]:
    """The site, the model's folder below ``bench-model/``, and a place to report to."""

    class Handler(SiteHandler):
        def translate_path(self, path: str) -> str:
            if folder is not None and path.startswith("/bench-model/"):
                name = unquote(path.removeprefix("/bench-model/").partition("?")[0])
                return str(folder / Path(name).name)
            return super().translate_path(path)

        def do_POST(self) -> None:  # noqa: N802 - the base class's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reports.put((self.path.removeprefix("/report/"), json.loads(body)))
            self.send_response(204)
            self.end_headers()

    return Handler


def chromium_flags() -> tuple[str, ...]:
    """What makes headless Chromium use the GPU of this machine, or its own CPU adapter."""
    if sys.platform != "linux":
        return COMMON_FLAGS
    if Path("/proc/driver/nvidia/version").exists():
        return (*COMMON_FLAGS, *NVIDIA_FLAGS)
    if Path("/dev/dri/renderD128").exists():
        return (*COMMON_FLAGS, "--enable-features=Vulkan")
    return (*COMMON_FLAGS, *SWIFTSHADER_FLAGS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
