"""The options of ``build.py bench`` beyond those of ``webllm-py bench``."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from webllm_py.cli.arguments import Formatter, add_bench

from .peers import PEERS

__all__ = ["add_browser", "add_build", "browser_arguments", "words_for"]


def words_for(words: Sequence[str], *, browser: bool) -> list[str]:
    """Those of ``build.py bench``'s words that what measures there understands."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    add_build(parser)
    if not browser:
        add_browser(parser)
    return parser.parse_known_args(words)[1]


def browser_arguments(words: Sequence[str], program: str) -> Namespace:
    """All options of a bench in Chromium.

    Raises:
        SystemExit: as argparse does, for ``--help`` and for wrong words.
    """
    parser = ArgumentParser(
        program,
        description="Measure how fast a model runs in Chromium here.",
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    add_bench(parser)
    add_browser(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser.parse_args(words)


def add_build(parser: ArgumentParser) -> None:
    """Where to measure, and for where to pack."""
    group = parser.add_argument_group("where")
    where = group.add_mutually_exclusive_group()
    where.add_argument("--native", action="store_true", help="only through wgpu-py")
    where.add_argument("--browser", action="store_true", help="only in Chromium")
    where.add_argument(
        "--pack",
        type=lambda text: Path(text).absolute(),
        metavar="DIR",
        help="measure nothing here, but write a folder to carry to a machine without network: "
        "`python3 DIR/run.py` measures there, in its Chromium, and takes the other options",
    )


def add_browser(parser: ArgumentParser) -> None:
    """What only a bench in Chromium can do."""
    group = parser.add_argument_group("in Chromium")
    group.add_argument(
        "--peer",
        choices=PEERS,
        help="measure this engine as well, after ours, with the same weights, and show ratios; "
        "it is fetched from npm. What transformers.js reads is made of a .gguf file in Q4_0",
    )
    group.add_argument(
        "--host-profile",
        action="store_true",
        help="also show where the host's work of a decoded token goes, in Python and JavaScript",
    )
    group.add_argument(
        "--page-start",
        action="store_true",
        help="measure nothing but the chat page, from opened to ready: with an empty profile, and "
        "--runs times again with what the browser kept",
    )
    group.add_argument(
        "--soak",
        type=int,
        metavar="REQUESTS",
        help="measure nothing but memory: so many requests to the pocket model through "
        "webllm_py.js, as many aborts, a tenth of lost devices, a twentieth of loads",
    )
    group.add_argument(
        "--chromium", type=Path, metavar="PATH", help="which (default: the one of this machine)"
    )
