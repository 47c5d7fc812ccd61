"""Damaged inputs of every kind are read or refused by a named error, within a second.

A small share of the seeds by default; --long: 100,000 inputs.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from targets import TARGETS, Target

from webllm_py.errors import WebLLMError

SHARE, ALL = 150, 20_000  # of each kind
SECONDS = 1.0  # of this process's time


class TooSlowError(Exception):
    """A second has passed."""


@contextmanager
def time_limit() -> Iterator[None]:
    """Break off what takes longer."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.filterwarnings("ignore")
def test_read_or_refused_by_name(target: Target, long: bool) -> None:
    outcomes: Counter[str] = Counter()
    defects: list[str] = []
    for seed in range(ALL if long else SHARE):
        value = target.make(random.Random(f"{target.name} {seed}"))
        try:
            with time_limit():
                target.read(value)
            outcome = "read"
        except WebLLMError as error:
            assert str(error)
            outcome = type(error).__name__
        except Exception as error:
            outcome = f"defect {type(error).__name__}"
            defects.append(f"seed {seed}: {error!r}"[:300])
        outcomes[outcome] += 1
    print(f"\n{target.name}: {dict(outcomes.most_common())}")
    assert not defects, "\n".join(defects[:40])
    assert len(outcomes) > 1
