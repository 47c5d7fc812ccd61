"""Colours, the progress line, and numbers for people."""

from __future__ import annotations

import io

import pytest

from webllm_py.cli.progress import ProgressLine, bar_of, line_of
from webllm_py.cli.terminal import Style, printable
from webllm_py.runtime.weights.progress import LoadProgress
from webllm_py.units import count, counted, duration, significant, size


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(
    environment: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Style.of(FakeTerminal()).colour is colour
    assert not Style.of(io.StringIO()).colour


def test_a_style_without_colour_changes_nothing() -> None:
    assert Style(False).bold("x") == "x"
    assert Style(True).bold("x") == "\x1b[1mx\x1b[0m"
    assert Style(True).bold("") == ""


def test_control_characters_are_left_out() -> None:
    assert printable("a\x1b[2J\x07\x00\r\x7f\x9bb\tc\nd ü🙂") == "a[2Jb\tc\nd ü🙂"


def weights(loaded: int, total: int = 2_000_000, rate: float | None = 5e6) -> LoadProgress:
    return LoadProgress("weights", loaded, total, rate, "")


def test_the_progress_line() -> None:
    plain = Style(False)
    assert line_of(LoadProgress("opening", 0, None, None, "Opening"), plain, 79) == "Opening ..."
    half = line_of(weights(1_000_000), plain, 79)
    assert half == "█" * 12 + "░" * 12 + "  50%  1.00 MB of 2.00 MB, 5.00 MB/s"
    assert line_of(weights(0, rate=None), plain, 79) == "░" * 24 + "   0%  0 B of 2.00 MB"
    assert line_of(weights(1_000_000), plain, 20) == "50%  1.00 MB of 2.00"


def test_the_bar() -> None:
    assert [len(bar_of(i / 100)) for i in range(101)] == [24] * 101
    assert bar_of(1 / 48) == "▌" + "░" * 23
    assert bar_of(1.0) == "█" * 24
    assert bar_of(2.0) == "█" * 24


def test_progress_is_shown_on_terminals_only() -> None:
    file = io.StringIO()
    progress = ProgressLine(file)
    progress(weights(1))
    progress.say("more")
    progress.clear()
    assert file.getvalue() == ""
    terminal = FakeTerminal()
    progress = ProgressLine(terminal)
    progress(weights(1_000_000))
    assert " 50%" in terminal.getvalue()
    progress.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (size(0), "0 B"),
        (size(999), "999 B"),
        (size(1000), "1.00 kB"),
        (size(999_600), "1.00 MB"),
        (size(348_160_000), "348 MB"),
        (size(1_236_000_000), "1.24 GB"),
        (size(2e12), "2.00 TB"),
        (count(260_032), "260,032"),
        (count(494_032_768), "494 million"),
        (count(8_030_261_248), "8.03 billion"),
        (counted(1, "token"), "1 token"),
        (counted(1200, "token"), "1,200 tokens"),
        (duration(0.000_25), "250 us"),
        (duration(0.006_04), "6.0 ms"),
        (duration(0.012_3), "12 ms"),
        (duration(0.9996), "1.00 s"),
        (duration(83.2), "83.2 s"),
        (significant(1234.5), "1,234"),
        (significant(24.84), "24.8"),
        (significant(0.052), "0.05"),
    ],
)
def test_numbers_for_people(shown: str, wanted: str) -> None:
    assert shown == wanted
