"""The shared data, which tests find beside the checkout."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[4] / "shared" / "data" / "json-schema"


@pytest.fixture(scope="session")
def schema_data() -> Callable[[str], list[Any]]:
    """Reads a file of schemas, one JSON value or one a line; skips where there is none."""
    if not DATA.is_dir():
        pytest.skip(f"no shared data at {DATA}: real schemas are not tested")

    def read(name: str) -> list[Any]:
        text = (DATA / name).read_text(encoding="utf-8")
        return (
            [json.loads(line) for line in text.splitlines()]
            if name[-1] == "l"
            else json.loads(text)
        )

    return read
