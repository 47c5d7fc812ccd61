"""Reads the command line, runs one command, and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TextIO

from webllm_py.cli.arguments import parse_arguments
from webllm_py.cli.terminal import Style
from webllm_py.errors import WebLLMError

__all__ = ["main"]

FAILED = 1
INTERRUPTED = 128 + signal.SIGINT  # what a shell reports for a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``webllm-py``; returns its exit code: 0, 1 for an error, 2 for wrong arguments (raised
    as ``SystemExit`` by argparse), 130 for Ctrl-C.

    Args:
        arguments: the words after the program's name; None takes the process's own.
    """
    for stream in (sys.stdout, sys.stderr):
        write_utf8(stream)
    options = parse_arguments(arguments)
    try:
        return run(options)
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # whatever was being written, the shell begins a line
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does. Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except WebLLMError as error:
        if options.debug:
            raise
        style = Style.of(sys.stderr)
        print(f"{style.red('error:')} {error}", file=sys.stderr)
        return FAILED


def run(options: Namespace) -> int:
    """Import and run the command that was asked for: a module and a function of its name."""
    module = import_module(f"webllm_py.cli.{options.command}")
    command: Callable[[Namespace], int] = getattr(module, options.command)
    return command(options)


def write_utf8(stream: TextIO) -> None:
    """Write UTF-8 whatever the locale says, and ``\\n`` as it is: a file gets the exact text."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", errors="replace", newline="\n")
