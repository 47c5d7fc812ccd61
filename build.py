#!/usr/bin/env python3
"""Builds, serves and tests webllm_py. Needs Python 3.11 or newer and nothing else.

python build.py demo     build the chat page and open it
python build.py lite     build a JupyterLite with the notebooks and open it
python build.py test     lint, types and every test
python build.py bench    measure the engine, natively and in Chromium
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - a plain sentence instead of a traceback
    sys.exit("build.py needs Python 3.11 or newer; this is " + sys.version.split()[0])

from demo.tools import browsers
from demo.tools.assemble import Assembly
from demo.tools.bench_options import add_browser, add_build, words_for
from demo.tools.checks import run_in_front, run_side_by_side
from demo.tools.distribution import PYODIDE, Distribution
from demo.tools.environment import Environment
from demo.tools.lite import FIRST_PAGE, LiteSite
from demo.tools.offer import offer
from demo.tools.pack import check_folder, write_pack
from demo.tools.peers import PEERS
from demo.tools.serve import port_number
from demo.tools.steps import StepFailedError, Steps
from webllm_py.cli.arguments import Formatter, add_bench

ROOT = Path(__file__).resolve().parent
BENCH_EXAMPLES = """\
examples:
  python build.py bench --shape qwen2.5-0.5b
  python build.py bench --shape qwen2.5-0.5b --peer wllama
  python build.py bench --shape llama-3.2-1b --peer transformers.js
  python build.py bench --pack /tmp/bench --peer wllama
"""
SITES = (
    ("demo", "the chat page", "demo/dist"),
    ("lite", "a JupyterLite with the notebooks", "demo/dist/lite"),
)
LONGEST_FIRST = ("engine", "browser", "gpu", "unit", "bench")
NEEDS = {"lite": "demo", "tests/browser": "lite", "tests/bench": "lite"}
CHECKED = ("webllm_py", "build.py")  # build.py imports demo.tools


def main() -> int:
    """Run one command; the status to exit with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what, folder in SITES:
        site = commands.add_parser(name, help=f"build {what}, serve it and open it")
        site.add_argument("--no-serve", action="store_true", help=f"only build {folder}")
        site.add_argument("--no-open", action="store_true", help="serve, but open no browser")
        site.add_argument(
            "--port", type=port_number, default=8000, help="default: 8000, or the next free one"
        )
    commands.add_parser("test", help="lint, types and every test", add_help=False)
    measured = commands.add_parser(
        "bench",
        help="measure the engine",
        description="Measure how fast a model runs here, natively and in Chromium.",
        epilog=BENCH_EXAMPLES,
        formatter_class=Formatter,
    )
    for add in (add_build, add_browser, add_bench):
        add(measured)
    measured.add_argument("--debug", action="store_true", help="show the traceback of an error")
    arguments, rest = parser.parse_known_args()
    if rest and arguments.command != "test":
        parser.error(f"unknown arguments: {' '.join(rest)}")
    if arguments.command == "bench" and arguments.native and arguments.peer:
        measured.error("--peer runs in Chromium: leave --native out")
    os.chdir(ROOT)
    try:
        if arguments.command == "test":
            return test(rest)
        if arguments.command == "bench":
            return bench(arguments, sys.argv[2:])
        return build_lite(arguments) if arguments.command == "lite" else build_demo(arguments)
    except StepFailedError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped")
        return 130


def build_demo(arguments: argparse.Namespace) -> int:
    """``build.py demo``."""
    environment = Environment(ROOT)
    steps = Steps(7)
    with steps.step("Python environment"):
        environment.make(steps)
    return offer(build_site(Distribution(environment), steps), arguments)


def build_lite(arguments: argparse.Namespace) -> int:
    """``build.py lite``."""
    environment = Environment(ROOT)
    steps = Steps(6)
    with steps.step("Python environment"):
        environment.make(steps)
    parts = Distribution(environment)
    build_parts(parts, steps)
    return offer(build_lite_site(parts, steps), arguments, FIRST_PAGE)


def build_parts(parts: Distribution, steps: Steps) -> None:
    """The two steps that every site begins with."""
    with steps.step(f"Pyodide {PYODIDE} from npm"):
        parts.fetch_pyodide(steps)
    with steps.step("Our wheel"):
        parts.build_wheel(steps)


def build_site(parts: Distribution, steps: Steps) -> Path:
    """The six steps from nothing to ``demo/dist``."""
    build_parts(parts, steps)
    assembly = Assembly(parts)
    with steps.step("The npm packages"):
        assembly.fetch_npm(steps)
    with steps.step("Wheels from PyPI"):
        assembly.fetch_wheels(steps)
    with steps.step("The site"):
        assembly.write_site(steps)
    with steps.step("A started Python, frozen"):
        assembly.freeze_python(steps)
    return assembly.dist


def build_lite_site(parts: Distribution, steps: Steps) -> Path:
    """The three steps from these parts to ``demo/dist/lite``."""
    site = LiteSite(parts)
    with steps.step("JupyterLite from PyPI"):
        site.fetch_jupyterlite(steps)
    with steps.step("Wheels of a notebook from PyPI"):
        site.fetch_wheels(steps)
    with steps.step("The JupyterLite site"):
        site.write_site(steps)
    return site.dist


def test(arguments: list[str]) -> int:
    """``build.py test [pytest arguments]``."""
    environment = Environment(ROOT)
    steps = Steps(5)
    with steps.step("Python environment"):
        environment.make(steps)
    with steps.step("The project and its test needs"):
        environment.install_project(steps)
        environment.install_test_weights(steps)
    with steps.step("Chromium"):
        browsers.ensure_chromium(environment, steps)
    with steps.step("Firefox"):
        browsers.ensure_firefox(steps)
    with steps.step("A GPU adapter"):
        browsers.ensure_adapter(environment, steps)
    python = environment.python
    lint: dict[str, list[str | Path]] = {
        "ruff check": [python, "-m", "ruff", "check"],
        "ruff format": [python, "-m", "ruff", "format", "--check"],
        "mypy": [python, "-m", "mypy", *CHECKED],
    }
    demo, lite = ({name: [sys.executable, "build.py", name, "--no-serve"]} for name, _, _ in SITES)
    pytest: list[str | Path] = [python, "-m", "pytest"]
    folders = [] if arguments else folders_of_tests()
    first, others = (
        {name: [*pytest, name] for name in part} for part in (folders[:1], folders[1:])
    )
    print(flush=True)
    # Browsers and devices are waited for: one more than there are cores.
    at_once = min(3, (os.cpu_count() or 1) + 1)
    results = run_side_by_side({**first, **demo, **lint, **lite, **others}, at_once, NEEDS)
    if arguments and not results["lite"].status:  # they may name tests, or ask for a debugger
        print("\n--- pytest", flush=True)
        results["pytest"] = run_in_front([*pytest, *arguments])
    failed = {name: result for name, result in results.items() if result.status}
    for name, result in failed.items():  # among the lines of the others they are hard to find
        print("", *result.end, sep=f"\n{name} | ")
    print()
    for name, result in results.items():
        print(f"{name:<14} {'FAILED' if name in failed else 'passed':<8} {result.seconds:6.1f} s")
    return 1 if failed else 0


def folders_of_tests() -> list[str]:
    """The folders of tests, a process each: none shares a browser or a device with another.

    What takes longest comes first, so that no process is left over in the end. The first one needs
    no site.
    """
    found = {path.relative_to("tests").parts[0] for path in Path("tests").rglob("test_*.py")}
    longest = sorted(found & set(LONGEST_FIRST), key=LONGEST_FIRST.index)
    return [f"tests/{name}" for name in (*longest, *sorted(found - set(longest)))]


def bench(arguments: argparse.Namespace, words: list[str]) -> int:
    """``build.py bench``: natively what ``webllm-py bench`` does, and the same in Chromium."""
    if arguments.pack:
        return pack(arguments)
    in_a_page = arguments.peer or arguments.page_start or arguments.soak
    native = not (arguments.browser or in_a_page)
    chromium = not arguments.native
    environment = Environment(ROOT)
    steps = Steps(2 + 7 * chromium + bool(arguments.peer))
    with steps.step("Python environment"):
        environment.make(steps)
    with steps.step("The project"):
        environment.install_project(steps)
    benches: dict[str, list[str]] = {}
    if native:
        benches["wgpu-py"] = ["webllm_py", "bench", *words_for(words, browser=False)]
    if chromium:
        with steps.step("Chromium"):
            if arguments.chromium is None:
                browsers.ensure_chromium(environment, steps)
            else:
                steps.note(str(arguments.chromium))
        build_site(Distribution(environment), steps)
        fetch_peer(arguments.peer, environment, steps)
        benches["Chromium"] = ["demo.tools.bench_page", "bench", *words_for(words, browser=True)]
    status = 0
    for name, module_and_words in benches.items():
        print(f"\n--- {name}", file=sys.stderr, flush=True)
        command: list[str | Path] = [environment.python, "-m", *module_and_words]
        status = max(status, subprocess.run(command).returncode)
    return status


def pack(arguments: argparse.Namespace) -> int:
    """``build.py bench --pack DIR``."""
    check_folder(arguments.pack)
    environment = Environment(ROOT)
    steps = Steps(8 + bool(arguments.peer))
    with steps.step("Python environment"):
        environment.make(steps)
    dist = build_site(Distribution(environment), steps)
    fetch_peer(arguments.peer, environment, steps)
    with steps.step("The pack"):
        write_pack(arguments.pack, dist, arguments.peer and PEERS[arguments.peer], steps)
    print(f"\nOn the other machine: python3 {arguments.pack.name}/run.py --help")
    return 0


def fetch_peer(name: str | None, environment: Environment, steps: Steps) -> None:
    """The engine to compare with, where there is one."""
    if name is not None:
        with steps.step(f"{name} {PEERS[name].version} from npm"):
            PEERS[name].fetch(environment, steps)


if __name__ == "__main__":
    sys.exit(main())
