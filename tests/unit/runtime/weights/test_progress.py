"""What a load reports: not more often than anybody can see, and the end of it always."""

from __future__ import annotations

import pytest

from webllm_py.errors import SourceError
from webllm_py.runtime.weights import progress
from webllm_py.runtime.weights.progress import LoadProgress, LoadTimes, ProgressReporter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list of one."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_pieces_that_come_fast_are_reported_together(clock: list[float]) -> None:
    reports: list[LoadProgress] = []
    reporter = ProgressReporter(reports.append)
    reporter.stage("weights", "Loading the weights", total=2_000_000)
    for _ in range(2000):
        clock[0] += 0.001
        reporter.advance(1000)
    assert 30 < len(reports) < 50
    loaded = [report.loaded for report in reports]
    assert loaded == sorted(loaded)
    assert (loaded[0], loaded[-1]) == (0, 2_000_000)
    assert reports[-1].text == "2.00 MB of 2.00 MB, 1.00 MB/s"
    assert reports[-1].bytes_per_second == pytest.approx(1e6)


def test_the_end_is_reported_however_fast_it_comes(clock: list[float]) -> None:
    reports: list[LoadProgress] = []
    reporter = ProgressReporter(reports.append)
    reporter.stage("weights", "Loading the weights", total=10)
    reporter.advance(4)
    reporter.advance(6)
    assert [report.loaded for report in reports] == [0, 10]
    assert reports[-1].text == "10 B of 10 B"
    assert reports[-1].bytes_per_second is None


def test_what_went_wrong_is_said_until_it_goes_on(clock: list[float]) -> None:
    reports: list[LoadProgress] = []
    reporter = ProgressReporter(reports.append)
    reporter.stage("weights", "Loading the weights", total=10)
    clock[0] += 1
    reporter.advance(4, "a")
    reporter.retrying(SourceError("a: the connection was cut"), 2.1)
    reporter.retrying(SourceError("a: the server answered 503"), 0.4)
    clock[0] += 1
    reporter.advance(4, "a")
    assert [report.problem for report in reports[2:]] == [
        "a: the connection was cut",
        "a: the server answered 503",
        None,
    ]
    assert reports[2].text == "Trying again in 2 s: a: the connection was cut"
    assert reports[3].text == "Trying again: a: the server answered 503"
    assert (reports[3].stage, reports[3].loaded, reports[3].files) == ("weights", 4, {"a": 4})


def test_times_of_what_goes_on_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    times = LoadTimes()
    now[0] += 1
    times.end("header")
    with times.measure("weights"):
        now[0] += 2
        with times.measure("tokenizer"):
            now[0] += 3
    assert times.seconds == {"header": 1.0, "tokenizer": 3.0, "weights": 5.0}
