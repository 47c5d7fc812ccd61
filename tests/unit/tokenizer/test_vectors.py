"""Published vectors: 46 texts for each tokenizer, from every kind of file there is for it."""

from __future__ import annotations

import pytest
from vectors import CASES, Case, Read, mismatches


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_text_is_exact(case: Case, read: Read) -> None:
    assert mismatches(case, read) == []
