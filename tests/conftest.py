"""What tests of several folders share."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from families_table import Measured

gc.disable()  # until all is collected: nothing of it is garbage


def pytest_collection_finish() -> None:
    """What is imported and collected stays: no collection of garbage looks at it again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether all of it is wanted, which takes minutes."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> Iterator[Measured]:
    """Takes how far families' logits are off, for the README's table."""
    found = Measured()
    yield found
    if request.config.getoption("--families-table"):
        found.write()


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """IPython as a kernel has it; nothing of it is kept."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    config = Config()
    config.HistoryManager.enabled = False
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long",
        action="store_true",
        help="all seeds of the tests that run a small share of theirs: minutes each",
    )
    parser.addoption(
        "--families-table",
        action="store_true",
        help="write what is measured to the README's table (tests/families_table.py)",
    )
    parser.addoption(
        "--schemas",
        type=int,
        default=8,
        help="of real JSON schemas, how many answers of a random model are tested with (8)",
    )
