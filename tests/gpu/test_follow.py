"""The kernel that follows a grammar's automaton, against the same in Python."""

from __future__ import annotations

import numpy as np
import pytest
from runners import Runner

from webllm_py.gpu.kernels import kernel

ROWS_AT, RING, RING_SLOTS, SLOTS = 4, 16, 2, 4
STATES, TERMS, FRAMES, KINDS = 12, 8, 3, 2
FRAMES_AT = SLOTS + STATES
PLACES_AT = FRAMES_AT + 2 * FRAMES
RECORDS_AT = PLACES_AT + KINDS * TERMS
INSIDE, ENDS, STALLED = 1 << 30, 1 << 31, 2**32 - 1
VOCAB, CLASSES, NO_CLASS = 300, 160, 255
SLOT, DRAWN = 1, 21


class Table:
    """An automaton's index, and records one behind the other."""

    def __init__(self) -> None:
        self.index = np.zeros(RECORDS_AT, np.uint32)
        self.records: list[int] = []

    def add(self, at: int, mask: int, classes: dict[int, int], pairs: dict[int, int]) -> None:
        self.index[at] = RECORDS_AT + len(self.records)
        by_class = [classes.get(i, 0) for i in range(CLASSES)] if classes else []
        flat = [word for pair in pairs.items() for word in pair]
        self.records += [mask, len(by_class), len(pairs), *by_class, *flat]

    def frame(self, frame: int, kind: int, ends: dict[int, int]) -> None:
        self.index[FRAMES_AT + 2 * frame :][:2] = (kind, RECORDS_AT + len(self.records))
        self.records += [len(ends), *(word for pair in ends.items() for word in pair)]

    def words(self, state: int) -> np.ndarray:
        self.index[:SLOTS] = (9, state, 9, 9)
        return np.concatenate([self.index, np.array(self.records, np.uint32)])


def quoted(frame: int, term: int) -> int:
    return STATES + TERMS * frame + term


@pytest.fixture
def table() -> Table:
    """State 1 knows classes and many pairs, 2 only pairs, 3 nothing; there is nothing of 4. In
    quotes the frames 0 and 1 are of one kind; nothing is known of the frame 2."""
    made = Table()
    made.add(SLOTS + 1, 1000, {0: 2, 33: 3, 159: 4}, {t: 2 + t % 2 for t in range(100, 290)})
    made.add(SLOTS + 2, 1500, {}, {7: 1, 8: 5, 9: quoted(1, 3), 10: quoted(2, 3)})
    made.add(SLOTS + 3, 2**31 + 17, {}, {})
    inner = {100: ENDS | 5, 101: ENDS | 6, 102: ENDS | 7, 103: INSIDE | 3, 104: ENDS}
    made.add(PLACES_AT + TERMS + 6, 2000, {0: INSIDE | 3, 33: INSIDE | 0, 159: INSIDE | 2}, inner)
    made.add(PLACES_AT + TERMS + 3, 2100, {}, {})
    made.add(PLACES_AT + TERMS, 2200, {}, {})
    made.frame(0, 1, {0: 3, 5: 1, 6: 4})
    made.frame(1, 1, {5: 2, 7: quoted(0, 3), 0: quoted(2, 3)})
    return made


FOLLOW = kernel(
    "sample_follow",
    STEP_ROWS=ROWS_AT,
    RING=RING,
    RING_SLOTS=RING_SLOTS,
    SLOTS=SLOTS,
    STATES=STATES,
    TERMS=TERMS,
    FRAMES_AT=FRAMES_AT,
    PLACES_AT=PLACES_AT,
)
MASKS = {
    1: 1000,
    2: 1500,
    3: 2**31 + 17,
    quoted(0, 3): 2100,
    quoted(1, 3): 2100,
    quoted(0, 0): 2200,
}
# The token's class 0 is that of tokens below 50, 33 of those below 60, 159 of those below 70.
CASES = {
    "class": (1, 20, 2),
    "another class": (1, 59, 3),
    "class of an unknown state": (1, 69, None),
    "pair": (1, 101, 3),
    "last pair": (1, 289, 3),
    "unknown token": (1, 299, None),
    "class that the state has not": (2, 20, None),
    "pair of a state without classes": (2, 7, 1),
    "pair of an unknown state": (2, 8, None),
    "state that knows nothing": (3, 20, None),
    "into quotes": (2, 9, quoted(1, 3)),
    "into an unknown frame": (2, 10, None),
    "inside": (quoted(0, 6), 20, quoted(0, 3)),
    "inside of another frame": (quoted(1, 6), 103, quoted(1, 3)),
    "to the first term": (quoted(0, 6), 55, quoted(0, 0)),
    "to an unknown term": (quoted(0, 6), 60, None),
    "out": (quoted(0, 6), 100, 1),
    "out of another frame": (quoted(1, 6), 100, 2),
    "the first way out": (quoted(0, 6), 104, 3),
    "out to an unknown state": (quoted(0, 6), 101, None),
    "an unknown way out": (quoted(1, 6), 101, None),
    "out into other quotes": (quoted(1, 6), 102, quoted(0, 3)),
    "out into an unknown frame": (quoted(1, 6), 104, None),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rows", [1, 0], ids=["drawn", "stalled"])
async def test_where_a_token_leads(runner: Runner, table: Table, case: str, rows: int) -> None:
    state, token, behind = CASES[case]
    classes = np.full(VOCAB, NO_CLASS, np.uint8)
    classes[:50], classes[50:60], classes[60:70] = 0, 33, 159
    step = np.zeros(ROWS_AT + 4, np.uint32)
    step[0] = rows
    step[ROWS_AT:] = (token, 40, SLOT, DRAWN)
    before = {
        "step": step,
        "ring": np.arange(RING * RING_SLOTS, dtype=np.uint32),
        "masks": np.arange(SLOTS, dtype=np.uint32),
        "automaton": table.words(state),
        "classes": classes.view(np.uint32),
    }
    expected = {name: values.copy() for name, values in before.items()}
    if rows and behind is None:
        expected["step"][0] = 0
        expected["ring"][DRAWN % RING * RING_SLOTS + SLOT] = STALLED
    elif rows and behind:
        expected["automaton"][SLOT] = behind
        expected["masks"][SLOT] = MASKS[behind]
    out = await runner.run(FOLLOW, before, (1,))
    for name, values in out.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
