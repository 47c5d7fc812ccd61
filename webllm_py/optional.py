"""Packages that only some uses need: imported by name, with an error that says what to install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from webllm_py.errors import MissingPackageError

__all__ = ["optional_module"]


def optional_module(name: str, purpose: str, install: str) -> Any:
    """Import a module that need not be installed.

    Args:
        purpose: what needs it, the beginning of a sentence.
        install: what ``pip install`` takes.

    Raises:
        MissingPackageError: its package is not there.
    """
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise  # it is there, and something that it needs itself is not
        raise MissingPackageError(
            f"{purpose} needs the package {package}, which is not installed: pip install {install}"
        ) from error
