"""Which shape wins: times that scatter, are rounded, or are too few."""

from __future__ import annotations

import random

import pytest

from webllm_py.runtime.tuning.race import LEAST_SAMPLES, MOST_SAMPLES, Race, Trial

EXACT, COARSE = 1e-6, 1e-4


def raced(
    means: list[float], *, scatter: float = 0.0, tick: float = EXACT, rounds: int = 1000
) -> Race:
    """A race over shapes (0,), (1,), ... that take so long; each time scatters evenly."""
    drawn = random.Random(1)
    race = Race("x", [Trial((i,)) for i in range(len(means))])
    clock = 0.0
    while rounds and not race.settled:
        trial = race.next()
        seconds = means[trial.shape[0]] * (1 + scatter * drawn.uniform(-1, 1))
        if tick == COARSE:
            clock += drawn.uniform(0, COARSE)
            seconds = ((clock + seconds) // tick - clock // tick) * tick
        trial.samples.append(seconds)
        race.narrow(tick)
        rounds -= 1
    return race


def test_the_fastest_wins() -> None:
    race = raced([3e-3, 2e-3, 1e-3])
    assert race.settled and race.winner(EXACT) == (2,)
    assert len(race.default.samples) == LEAST_SAMPLES


def test_a_small_gain_is_none() -> None:
    assert raced([1e-3, 0.99e-3]).winner(EXACT) == (0,)
    assert raced([1e-3, 0.96e-3]).winner(EXACT) == (1,)


@pytest.mark.parametrize("tick", [EXACT, COARSE])
def test_a_gain_within_the_noise(tick: float) -> None:
    race = raced([2e-4, 1.5e-4], scatter=0.3, tick=tick)
    assert race.winner(tick) == (1,)
    same = raced([2e-4, 2e-4], scatter=0.3, tick=tick)
    assert same.winner(tick) == (0,)
    assert max(len(trial.samples) for trial in same.running) <= MOST_SAMPLES + 1


def test_rounded_times_below_a_tick() -> None:
    """Their mean is right: how often a time spans a tick depends on how long it is."""
    race = raced([8e-5, 4e-5], tick=COARSE)
    assert race.winner(COARSE) == (1,)


def test_too_few_samples_say_nothing() -> None:
    race = raced([2e-3, 1e-3], rounds=2 * LEAST_SAMPLES - 1)
    assert race.winner(EXACT) == (0,)
    assert raced([2e-3, 1e-3], rounds=2).winner(EXACT) is None


def test_interruptions_do_not_count() -> None:
    trial = Trial((0,))
    trial.samples = [1e-3, 1e-3, 9e-3, 1e-3, 1e-3, 5e-3]
    mean, error = trial.estimate(EXACT)
    assert mean == pytest.approx(1e-3) and error == pytest.approx(0)


def test_the_tick_is_that_of_the_whole_plan() -> None:
    trial = Trial((0,), layers=10)
    trial.samples = [1e-4, 1.05e-4, 1.1e-4, 1.3e-4]
    assert trial.estimate(COARSE)[0] == pytest.approx((1 + 1.05 + 1.1) / 3 * 1e-4)
