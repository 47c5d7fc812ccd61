"""The shared data, which tests find beside the checkout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture(scope="session")
def read() -> Callable[[str], bytes]:
    """Reads a file of the shared data; skips where there is none."""
    if not DATA.is_dir():
        pytest.skip(f"no shared data at {DATA}: real tokenizers are not tested")
    return lambda path: (DATA / path).read_bytes()
