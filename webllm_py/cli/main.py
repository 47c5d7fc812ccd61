"""Reads the command line, runs one command, and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from webllm_py.errors import WebLLMError

if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["main"]

FAILED = 1
INTERRUPTED = 128 + signal.SIGINT  # what a shell reports for a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``webllm-py``; returns its exit code: 0, 1 for an error, 2 for wrong arguments (raised
    as ``SystemExit`` by argparse), 130 for Ctrl-C.

    Args:
        arguments: the words after the program's name; None takes the process's own.
    """
    prepare_streams()
    try:
        # Here rather than above, so that Ctrl-C while they are imported is no traceback either.
        from webllm_py.cli.arguments import parse_arguments

        options = parse_arguments(arguments)
        return told(options)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # whatever was being written, the shell begins a line
        return INTERRUPTED


def told(options: Namespace) -> int:
    """Run the command, and tell of its error in one line."""
    try:
        return run(options)
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        silence_stdout()
        return FAILED
    except (WebLLMError, OSError, UnicodeDecodeError) as error:
        if options.debug:
            raise
        if isinstance(error, OSError):  # of writing: the package names its own
            silence_stdout()
        text = "standard input is not UTF-8" if isinstance(error, UnicodeError) else error
        from webllm_py.cli.terminal import Style, printable

        # It may quote a model's file.
        print(f"{Style.of(sys.stderr).red('error:')} {printable(str(text))}", file=sys.stderr)
        return FAILED


def run(options: Namespace) -> int:
    """Import and run the command that was asked for: a module and a function of its name."""
    module = import_module(f"webllm_py.cli.{options.command}")
    command: Callable[[Namespace], int] = getattr(module, options.command)
    return command(options)


def prepare_streams() -> None:
    """UTF-8 whatever the locale says, and ``\\n`` as it is: a file gets the exact text."""
    # A stream that the shell has closed is None here.
    sys.stdin = sys.stdin or Path(os.devnull).open()  # noqa: SIM115
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # not what a notebook or a test puts there
            errors = "strict" if stream is sys.stdin else "replace"
            stream.reconfigure(encoding="utf-8", errors=errors, newline="\n")


def silence_stdout() -> None:
    """Nothing can be written: nor may it be tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
