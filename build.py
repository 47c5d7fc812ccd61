#!/usr/bin/env python3
"""Builds, serves and tests webllm_py. Needs Python 3.11 or newer and nothing else.

python build.py demo     build the chat page and open it
python build.py test     lint, types and every test
python build.py bench    measure the engine, natively and in Chromium
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - a plain sentence instead of a traceback
    sys.exit("build.py needs Python 3.11 or newer; this is " + sys.version.split()[0])

from demo.tools import browsers
from demo.tools.assemble import PYODIDE, Assembly
from demo.tools.environment import Environment
from demo.tools.serve import LAST_PORT, SiteServer, port_number
from demo.tools.steps import StepFailedError, Steps

ROOT = Path(__file__).resolve().parent
CHECKED = ("webllm_py", "build.py", "demo/worker.py")  # build.py imports demo.tools


def main() -> int:
    """Run one command; the status to exit with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="build the chat page, serve it and open it")
    demo.add_argument("--no-serve", action="store_true", help="only build demo/dist")
    demo.add_argument("--no-open", action="store_true", help="serve, but open no browser")
    demo.add_argument(
        "--port", type=port_number, default=8000, help="default: 8000, or the next free one"
    )
    commands.add_parser("test", help="lint, types and every test", add_help=False)
    measured = commands.add_parser("bench", help="measure the engine", add_help=False)
    where = measured.add_mutually_exclusive_group()
    where.add_argument("--native", action="store_true", help="only through wgpu-py")
    where.add_argument("--browser", action="store_true", help="only in Chromium")
    arguments, rest = parser.parse_known_args()
    if rest and arguments.command == "demo":
        parser.error(f"unknown arguments: {' '.join(rest)}")
    os.chdir(ROOT)
    try:
        if arguments.command == "demo":
            return build_demo(arguments)
        return test(rest) if arguments.command == "test" else bench(arguments, rest)
    except StepFailedError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped")
        return 130


def build_demo(arguments: argparse.Namespace) -> int:
    """``build.py demo``."""
    environment = Environment(ROOT)
    steps = Steps(6)
    with steps.step("Python environment"):
        environment.make(steps)
    dist = build_site(environment, steps)
    if arguments.no_serve:
        print(f"\nBuilt {dist}. Any static server will do; no special headers are needed.")
        return 0
    serve(dist, arguments.port, open_browser=not arguments.no_open)
    return 0


def build_site(environment: Environment, steps: Steps) -> Path:
    """The five steps from nothing to ``demo/dist``."""
    assembly = Assembly(environment)
    with steps.step(f"Pyodide {PYODIDE} from npm"):
        assembly.fetch_pyodide(steps)
    with steps.step("Wheels from PyPI"):
        assembly.fetch_wheels(steps)
    with steps.step("Our wheel"):
        assembly.build_wheel(steps)
    with steps.step("The site"):
        assembly.write_site(steps)
    with steps.step("A started Python, frozen"):
        assembly.freeze_python(steps)
    return assembly.dist


def serve(dist: Path, port: int, *, open_browser: bool) -> None:
    """Serve the site until Ctrl+C, and open it where there is a browser to open it in."""
    with _server(dist, port) as server:
        print(f"\nThe page is at {server.url}   (Ctrl+C stops)", flush=True)
        if open_browser and not (_has_display() and webbrowser.open(server.url)):
            number = server.server_address[1]
            print(
                "There is no browser here. On the machine in front of you, run\n"
                f"    ssh -N -L {number}:localhost:{number} USER@THIS-MACHINE\n"
                f"and open http://localhost:{number}/ there. (Not by this machine's address:\n"
                "browsers offer WebGPU only on localhost and over https.)",
                flush=True,
            )
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def test(arguments: list[str]) -> int:
    """``build.py test [pytest arguments]``."""
    environment = Environment(ROOT)
    steps = Steps(10)
    with steps.step("Python environment"):
        environment.make(steps)
    with steps.step("The project and its test needs"):
        environment.install_project(steps)
    with steps.step("Chromium"):
        browsers.ensure_chromium(environment, steps)
    with steps.step("Firefox"):
        browsers.ensure_firefox(steps)
    with steps.step("A GPU adapter"):
        browsers.ensure_adapter(environment, steps)
    build_site(environment, steps)
    python = environment.python
    checks: dict[str, list[str | Path]] = {
        "ruff check": [python, "-m", "ruff", "check"],
        "ruff format": [python, "-m", "ruff", "format", "--check"],
        "mypy": [python, "-m", "mypy", *CHECKED],
        "pytest": [python, "-m", "pytest", *arguments],
    }
    results = [(name, *_timed(name, command)) for name, command in checks.items()]
    print()
    for name, status, seconds in results:
        print(f"{name:<14} {'passed' if status == 0 else 'FAILED':<8} {seconds:6.1f} s")
    return max(status != 0 for _, status, _ in results)


def bench(arguments: argparse.Namespace, rest: list[str]) -> int:
    """``build.py bench``: natively what ``webllm-py bench`` does, and the same in Chromium."""
    environment = Environment(ROOT)
    steps = Steps(2 if arguments.native else 8)
    with steps.step("Python environment"):
        environment.make(steps)
    with steps.step("The project"):
        environment.install_project(steps)
    benches = {"wgpu-py": "webllm_py.cli", "Chromium": "demo.tools.bench_page"}
    if arguments.native:
        del benches["Chromium"]
    else:
        with steps.step("Chromium"):
            browsers.ensure_chromium(environment, steps)
        build_site(environment, steps)
    if arguments.browser:
        del benches["wgpu-py"]
    status = 0
    for name, module in benches.items():
        print(f"\n--- {name}", file=sys.stderr, flush=True)
        command: list[str | Path] = [environment.python, "-m", module, "bench", *rest]
        status = max(status, subprocess.run(command).returncode)
    return status


def _timed(name: str, command: list[str | Path]) -> tuple[int, float]:
    print(f"\n--- {name}", flush=True)
    start = time.monotonic()
    status = subprocess.run(command).returncode
    return status, time.monotonic() - start


def _server(dist: Path, port: int) -> SiteServer:
    last = min(port + 9, LAST_PORT)
    for candidate in (*range(port, last + 1), 0):
        try:
            return SiteServer(dist, candidate)
        except OSError:
            continue
    raise StepFailedError(f"No port is free, neither {port} to {last} nor any other.")


def _has_display() -> bool:
    """Whether a graphical browser could open (a terminal browser could not run the page)."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    sys.exit(main())
