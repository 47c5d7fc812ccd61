"""The README's table of families: how far their logits are from transformers' at most, by the kind
of file and the device.

The numbers are kept in fixtures/families.json. With ``--families-table`` the tests that measure
write theirs there and to the README::

    pytest --families-table --long tests/engine/test_families.py \
        tests/engine/test_random_models.py tests/browser/test_families_in_pyodide.py

Without, tests/engine/test_families.py asks that there is a number for all that is measured, within
what tests allow, and that the README says the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["COLUMNS", "ROW", "Measured", "kept", "with_numbers"]

README = Path(__file__).parents[1] / "README.md"
KEPT = Path(__file__).parent / "fixtures" / "families.json"
COLUMNS = ("safetensors", "GGUF", "MLC", "GGUF in Chromium")
"""Of the table, in their order: in CPython on lavapipe; in Chromium on SwiftShader."""
ROW = re.compile(r"^(\| .+ \| `([\w-]+)` \| `([\w-]+)` \|)((?: [^|]*\|)*)$", re.MULTILINE)
"""Of the table; its groups are what it begins with, config.json's and GGUF's name, the numbers."""

Numbers = dict[str, dict[str, float]]  # by config.json's name, then by column


def kept() -> Numbers:
    """What was measured."""
    numbers: Numbers = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    return numbers


def with_numbers(text: str, numbers: Mapping[str, Mapping[str, float]]) -> str:
    """The README with these in its table."""

    def row(found: re.Match[str]) -> str:
        return found[1] + "".join(cells(numbers.get(found[2], {})))

    return ROW.sub(row, text)


def cells(row: Mapping[str, float]) -> Iterator[str]:
    """The last ones of a row: 1.3e-05 is 1e-5."""
    for column in COLUMNS:
        number = f"{row[column]:.0e}".replace("e-0", "e-") if column in row else ""
        yield f" {number} |".replace("  ", " ")


class Measured:
    """Collects errors; of what a row stands for, the greatest."""

    def __init__(self) -> None:
        self._numbers: Numbers = {}

    def note(self, model_type: str, column: str, error: float) -> None:
        """Take an error of a model's logits."""
        assert column in COLUMNS
        row = self._numbers.setdefault(model_type, {})
        row[column] = max(error, row.get(column, 0.0))

    def write(self) -> None:
        """Put them in the place of older ones, here and in the README."""
        numbers = kept()
        for model_type, row in self._numbers.items():
            rounded = {column: float(f"{error:.1e}") for column, error in row.items()}
            numbers.setdefault(model_type, {}).update(rounded)
        KEPT.write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n", "utf-8")
        README.write_text(with_numbers(README.read_text("utf-8"), numbers), "utf-8")
