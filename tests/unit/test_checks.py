"""What ``build.py test`` runs its commands with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # for demo.tools, which no wheel holds

from demo.tools.checks import run_side_by_side

MEET = """
import pathlib, sys, time
mine, other = map(pathlib.Path, sys.argv[1:])
mine.touch()
end = time.monotonic() + 60
while not other.exists():
    assert time.monotonic() < end
    time.sleep(0.01)
"""
MAKE = """
import pathlib, sys, time
time.sleep(0.2)
pathlib.Path(sys.argv[1]).touch()
"""
FIND = "import pathlib, sys; sys.exit(not pathlib.Path(sys.argv[1]).exists())"
ALONE = """
import pathlib, sys, time
busy = pathlib.Path(sys.argv[1])
busy.touch(exist_ok=False)
time.sleep(0.05)
busy.unlink()
"""


def python(code: str, *words: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, words)]


def test_lines_and_status_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    fails = "import sys; print('alas', file=sys.stderr); sys.exit(3)"
    commands = {"good": python("print('one'); print('two')"), "failing": python(fails)}
    results = run_side_by_side(commands, 2)
    assert {name: result.status for name, result in results.items()} == {"good": 0, "failing": 3}
    assert [*results["good"].end, *results["failing"].end] == ["one", "two", "alas"]
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == ["failing | alas", "good    | one", "good    | two"]
    assert lines.index("good    | one") < lines.index("good    | two")


def test_two_run_at_once(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    results = run_side_by_side({"a": python(MEET, a, b), "b": python(MEET, b, a)}, 2)
    assert [result.status for result in results.values()] == [0, 0]


def test_no_more_than_asked_run_at_once(tmp_path: Path) -> None:
    results = run_side_by_side({name: python(ALONE, tmp_path / "busy") for name in "abc"}, 1)
    assert [result.status for result in results.values()] == [0, 0, 0]


def test_what_needs_another_waits_for_it(tmp_path: Path) -> None:
    made = tmp_path / "made"
    commands = {"a": python(MAKE, made), "b": python(FIND, made)}
    for at_once in (1, 2):
        results = run_side_by_side(commands, at_once, {"b": "a"})
        assert [result.status for result in results.values()] == [0, 0]
        made.unlink()


def test_what_needs_one_that_fails_does_not_begin(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begins = python(MAKE, begun)
    fails = python("import sys; sys.exit(3)")
    commands = {"a": fails, "b": begins, "c": begins}
    results = run_side_by_side(commands, 2, {"b": "a", "c": "b"})
    assert {name: result.status for name, result in results.items()} == {"a": 3, "b": 1, "c": 1}
    assert "not begun" in results["c"].end[0] and not begun.exists()
