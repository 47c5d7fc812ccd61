"""When it is worth to run ahead under one mask."""

from __future__ import annotations

from webllm_py.runtime.verified import FEW_AHEAD, LATE, MANY_AHEAD, SOON, Pace


def test_runs_that_cost_more_than_single_steps_become_rare() -> None:
    pace = Pace()
    pace.stepped(2, 0.2)  # 0.1 s a token
    waits = []
    for _ in range(8):
        pace.ran(4, 0.5)
        waits.append(pace.needed)
    assert waits[:3] == [2 * SOON, 4 * SOON, 8 * SOON] and waits[-1] == LATE
    pace.ran(4, 0.3)
    assert pace.needed == SOON


def test_runs_are_as_far_ahead_as_they_are_long() -> None:
    pace = Pace()
    assert pace.ahead == FEW_AHEAD
    for _ in range(6):
        pace.ran(100, 0)
    assert pace.ahead == MANY_AHEAD
    for _ in range(6):
        pace.ran(1, 0)
    assert pace.ahead == FEW_AHEAD
