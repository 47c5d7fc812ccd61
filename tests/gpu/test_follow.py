"""The kernel that follows a grammar's automaton, against the same in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from followed import Followed, MissingError, StoppedError
from runners import Runner

from webllm_py.gpu.kernels import kernel
from webllm_py.grammar import TokenMasks, regex_grammar, schema_grammar
from webllm_py.grammar.automaton import Automaton, Sizes
from webllm_py.grammar.pushdown import State
from webllm_py.models.step import SLOTS
from webllm_py.runtime.sampling.automaton import A_PLACE, MISSING, PLACES, THREADS, joined

ROWS_AT, RING, RING_SLOTS = 4, 16, 3
ONLY, STALLED = 1 << 31, 2**32 - 1
SLOT, DRAWN, LONGEST = 1, 21, 12
SIZES = Sizes(words=1 << 16, states=256, terms=1 << 11, frames=256)
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 30},
        "of": {"enum": ["one kind of them", 12, "é"]},
        "n": {"type": "number"},
    },
    "additionalProperties": False,
    "required": ["name"],
}
GRAMMAR = schema_grammar(SCHEMA)
NUMBER = regex_grammar("[0-9]+(ab)?")
END = 299
WORDS = """
{ "name "n ":" "na me": 12 1, 0. "} n"} one kind "}, é na 日本 abababababababababababababab
"""
TOKENS = [
    b"",
    *(bytes([i]) for i in range(256)),
    *(word.encode() for word in WORDS.split()),
    b" the",
]
TOKENS += [b""] * (END + 2 - len(TOKENS))
VOCAB = END + 11  # the last ones have no texts
MASK_WORDS = -(-VOCAB // 32)


def spelled(forced: bytes) -> Sequence[int]:
    return [1 + byte for byte in forced][:-1]


@pytest.fixture(scope="module")
def automaton() -> Automaton:
    """It knows all that may come in short texts."""
    made = Automaton(TokenMasks(TOKENS, ends=[END]), spelled, SIZES)
    for state in (behind(""), NUMBER.start()):
        for _ in made.near(made.number(state), 30, lambda number: True):
            pass
    assert not made.full
    return made


def behind(text: str) -> State:
    found = GRAMMAR.start().behind(text.encode())
    assert found
    return found


FOLLOW = {
    stand: kernel(
        "sample_follow",
        VOCAB=VOCAB,
        STEP_ROWS=ROWS_AT,
        RING=RING,
        RING_SLOTS=RING_SLOTS,
        SLOTS=SLOTS,
        STATES=SIZES.states,
        TERMS=SIZES.terms,
        FRAMES_AT=SIZES.frames_at,
        ENDS_AT=SIZES.ends_at,
        LONGEST=LONGEST,
        STAND=stand,
    )
    for stand in (False, True)
}
# The text before a token, and the token; without one the text stands there.
CASES = {
    "a mark": ("", "{"),
    "into a string": ('{"name":', '"'),
    "in a string": ('{"name":"', " the"),
    "characters": ('{"name":"n', "日本"),
    "the last character": ('{"name":"' + 29 * "n", "a"),
    "a part of a character": ('{"name":"', b"\xe6"),
    "out of a string": ('{"name":"n', '"'),
    "far out of a string": ('{"name":"n', '"}'),
    "a number": ('{"n":', "12"),
    "behind a number": ('{"name":"n","n":1', "}"),
    "a text that leaves no choice": ('{"name":"n","of":"', "é"),
    "a longer one": ('{"name":"n","of":"', "one"),
    "the end": ('{"name":"n"}', None),
    "behind the end": ('{"name":"n"}', b""),
    "a name that goes on": ('{"', "na"),
    "where it stands": ('{"name":"', None),
}


Place = tuple[int, int]


class Drawn(NamedTuple):
    """A row: the place before a token, and the token; None: the text stands there."""

    place: Place
    token: int | None
    slot: int = SLOT


def run_of(words: Followed, row: Drawn, early: bool) -> tuple[Place | None, set[int]]:
    """Where a token leads, None where the GPU stalls; and for want of which states."""
    try:
        if row.token is not None:
            found = words.follow(row.place, row.token, TOKENS[row.token])
        else:
            found = row.place if row.place[1] else words.arrive(row.place[0])
    except StoppedError:
        return None, set()
    except MissingError as error:
        return None, {error.state}
    missing = set() if found[1] else words.missing(found[0], TOKENS, early=early)
    return None if missing else found, missing


async def check(
    runner: Runner,
    automaton: Automaton,
    rows: Sequence[Drawn],
    count: int | None = None,
    *,
    least: int = 0,
) -> list[Place] | None:
    """Run the kernel once for so many of the rows; where that leads, None where it stalls."""
    step = np.zeros(ROWS_AT + 4 * len(rows), np.uint32)
    step[0] = len(rows) if count is None else count
    places = np.zeros(PLACES + MISSING, np.uint32)
    places[PLACES - 1] = least
    stand = rows[0].token is None
    even = DRAWN % 2 == 0
    for m, (place, token, slot) in enumerate(rows):
        step[ROWS_AT + 4 * m :][:4] = (token or 0, 40 + m, slot, DRAWN)
        places[A_PLACE * slot + 2 * (even != stand) :][:2] = place
    arrays = {
        "step": step,
        "ring": np.arange(RING * RING_SLOTS, dtype=np.uint32),
        "masks": np.arange(SLOTS * (1 + MASK_WORDS), dtype=np.uint32),
        "automaton": np.array(automaton.words, np.uint32),
        "texts": np.frombuffer(joined(TOKENS, [END], VOCAB), np.uint32),
        "place": places,
    }
    expected = {name: values.copy() for name, values in arrays.items()}
    words = Followed(automaton.words, SIZES, LONGEST)
    told = [run_of(words, row, least > DRAWN) for row in rows[: step[0]]]
    for row, (found, _) in zip(rows, told, strict=False):
        if found:
            expect(expected, words, row.slot, found, least > DRAWN)
        else:
            expected["step"][0] = 0
            expected["ring"][DRAWN % RING * RING_SLOTS + row.slot] = STALLED
    groups = (-(-VOCAB // THREADS), len(rows))
    out = await runner.run(FOLLOW[stand], arrays, groups)
    stalled = any(found is None for found, _ in told)
    for name, values in out.items():
        if stalled and name == "ring":  # rows that begin behind a stall need not tell of theirs
            others = values != expected[name]
            assert (values[others] == arrays[name][others]).all() and STALLED in values
        elif not stalled or name == "step":
            np.testing.assert_array_equal(values, expected[name], err_msg=name)
    missing = set[int]().union(*(missing for _, missing in told))
    asked = {*out["place"][PLACES:].tolist()} - {0}
    assert asked <= missing and (bool(asked) == bool(missing) or len(rows) > 1)
    return None if stalled or not told else [found for found, _ in told if found]


def expect(
    arrays: dict[str, np.ndarray], words: Followed, slot: int, found: Place, early: bool
) -> None:
    """Write what is to be written of a slot whose text has come to a place."""
    arrays["place"][A_PLACE * slot + 2 * (DRAWN % 2) :][:2] = found
    only = words.only(found)
    begin = SLOTS + slot * MASK_WORDS
    arrays["masks"][slot] = begin if only is None else ONLY | only
    if only is None:
        bits = np.zeros(32 * MASK_WORDS, np.uint8)
        bits[[*words.allowed(found[0], TOKENS, early=early)]] = 1
        mask = np.packbits(bits, bitorder="little").view(np.uint32)
        arrays["masks"][begin : begin + MASK_WORDS] = mask


def token_of(text: str | bytes | None) -> int | None:
    if text is None:
        return None
    return TOKENS.index(text if isinstance(text, bytes) else text.encode()) if text else END


@pytest.mark.parametrize("case", CASES)
async def test_where_a_token_leads(runner: Runner, automaton: Automaton, case: str) -> None:
    """And what may come there; as far as a spelling goes."""
    text, token = CASES[case]
    place: Place | None = (automaton.number(behind(text)), 0)
    drawn = token_of(token)
    while place:
        found = await check(runner, automaton, [Drawn(place, drawn)])
        place = found[0] if found else None
        drawn = int(automaton.words[place[1]]) if place and place[1] else None
        if drawn is None:
            break
    assert bool(place) == (case not in ("a longer one", "behind the end"))


async def test_several_rows(runner: Runner, automaton: Automaton) -> None:
    """Each slot has a place and a mask of its own; rows past the last one do nothing."""
    rows = [
        Drawn((automaton.number(behind(CASES[case][0])), 0), token_of(CASES[case][1]), slot)
        for slot, case in ((2, "in a string"), (0, "characters"), (1, "a name that goes on"))
    ]
    found = await check(runner, automaton, rows)
    assert found and [bool(spelled) for _, spelled in found] == [False, False, True]
    assert await check(runner, automaton, rows, 2) == found[:2]
    # Where one of them ends, none has a next token.
    ended = Drawn((automaton.number(behind('{"name":"n"}')), 0), END, 0)
    assert not await check(runner, automaton, [rows[0], ended, rows[2]])


async def test_texts_stand_within_spellings(runner: Runner, automaton: Automaton) -> None:
    begun = behind('{"na')
    spelling = automaton.spelling(begun)
    assert len(spelling) == 2
    rows = [
        Drawn(automaton.place(behind('{"name":"')), None, 0),
        Drawn(automaton.place(begun, 1), None, 2),
    ]
    found = await check(runner, automaton, rows)
    assert found and automaton.words[found[1][1]] == spelling[1]


@pytest.mark.parametrize(
    ("text", "token", "ends"),
    [("1", "2", False), ("1", None, False), ("1a", "b", True), ('{"name":"n"', "}", True)],
)
async def test_a_text_does_not_end_early(
    runner: Runner, automaton: Automaton, text: str, token: str | None, ends: bool
) -> None:
    """But where it cannot go on."""
    state = behind(text) if "{" in text else NUMBER.start().behind(text.encode())
    assert state
    place = automaton.number(state), 0
    automaton.describe(place[0])
    for least, allowed in ((DRAWN, True), (DRAWN + 1, ends)):
        found = await check(runner, automaton, [Drawn(place, token_of(token))], least=least)
        assert found
        early = least > DRAWN
        words = Followed(automaton.words, SIZES)
        assert (END in words.allowed(found[0][0], TOKENS, early=early)) == allowed


async def test_a_stalled_step_changes_nothing(runner: Runner, automaton: Automaton) -> None:
    place = (automaton.number(behind("")), 0)
    assert not await check(runner, automaton, [Drawn(place, token_of("{"))], 0)


@pytest.mark.parametrize("token", [None, "{"])
async def test_what_is_not_known_stalls_and_is_told_of(runner: Runner, token: str | None) -> None:
    few = Automaton(TokenMasks(TOKENS, ends=[END]), spelled, SIZES)
    place = (few.number(behind("" if token else "{")), 0)
    few.describe(place[0])
    assert not await check(runner, few, [Drawn(place, token_of(token))])
