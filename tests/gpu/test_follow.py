"""The kernel that follows a grammar's automaton, against the same in Python."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from followed import Followed, MissingError, StoppedError
from runners import Runner

from webllm_py.gpu.kernels import kernel
from webllm_py.grammar import TokenMasks, schema_grammar
from webllm_py.grammar.automaton import Automaton, Sizes
from webllm_py.grammar.pushdown import State
from webllm_py.runtime.sampling.automaton import MISSING, PLACE, THREADS, joined

ROWS_AT, RING, RING_SLOTS, SLOTS = 4, 16, 2, 4
ONLY, STALLED = 1 << 31, 2**32 - 1
SLOT, DRAWN = 0, 21
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


def spelled(forced: bytes) -> Sequence[int]:
    return [1 + byte for byte in forced][:-1]


@pytest.fixture(scope="module")
def automaton() -> Automaton:
    """It knows all that may come in short texts."""
    made = Automaton(TokenMasks(TOKENS, ends=[END]), spelled, 12, SIZES)
    for _ in made.near(made.number(behind("")), 30, lambda number: True):
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


def run_of(words: Followed, place: Place, token: int | None) -> tuple[Place | None, set[int]]:
    """Where a token leads, None where the GPU stalls; and for want of which states."""
    try:
        if token is None:
            found = words.arrive(place[0])
        else:
            found = words.follow(place, token, TOKENS[token])
    except StoppedError:
        return None, set()
    except MissingError as error:
        return None, {error.state}
    missing = set() if found[1] else words.missing(found[0], TOKENS)
    return None if missing else found, missing


async def check(
    runner: Runner, automaton: Automaton, place: Place, token: int | None, rows: int = 1
) -> Place | None:
    """Run the kernel once; where that leads."""
    step = np.zeros(ROWS_AT + 4, np.uint32)
    step[0] = rows
    step[ROWS_AT:] = (token or 0, 40, SLOT, DRAWN)
    now = 2 * (DRAWN % 2)
    places = np.zeros(PLACE + MISSING, np.uint32)
    before = now if token is None else 2 - now
    places[before : before + 2] = place
    arrays = {
        "step": step,
        "ring": np.arange(RING * RING_SLOTS, dtype=np.uint32),
        "masks": np.arange(SLOTS + -(-VOCAB // 32), dtype=np.uint32),
        "automaton": np.array(automaton.words, np.uint32),
        "texts": np.frombuffer(joined(TOKENS, [END], VOCAB), np.uint32),
        "place": places,
    }
    expected = {name: values.copy() for name, values in arrays.items()}
    words = Followed(automaton.words, SIZES)
    found, missing = run_of(words, place, token) if rows else (None, set())
    if rows and not found:
        expected["step"][0] = 0
        expected["ring"][DRAWN % RING * RING_SLOTS + SLOT] = STALLED
    elif found:
        expected["place"][now : now + 2] = found
        only = words.only(found)
        expected["masks"][SLOT] = SLOTS if only is None else ONLY | only
        if only is None:
            bits = np.zeros(32 * -(-VOCAB // 32), np.uint8)
            bits[[*words.allowed(found[0], TOKENS)]] = 1
            expected["masks"][SLOTS:] = np.packbits(bits, bitorder="little").view(np.uint32)
    out = await runner.run(FOLLOW[token is None], arrays, (-(-VOCAB // THREADS),))
    stalled = rows and not expected["step"][0]
    for name, values in out.items():
        if not stalled or name not in ("masks", "place"):
            np.testing.assert_array_equal(values, expected[name], err_msg=name)
    told = {*out["place"][PLACE:].tolist()} - {0}
    assert told <= missing and bool(told) == bool(missing)
    return found


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
        place = await check(runner, automaton, place, drawn)
        drawn = int(automaton.words[place[1]]) if place and place[1] else None
        if drawn is None:
            break
    assert bool(place) == (case not in ("a longer one", "behind the end"))


async def test_a_stalled_step_changes_nothing(runner: Runner, automaton: Automaton) -> None:
    place = (automaton.number(behind("")), 0)
    assert not await check(runner, automaton, place, token_of("{"), rows=0)


@pytest.mark.parametrize("token", [None, "{"])
async def test_what_is_not_known_stalls_and_is_told_of(runner: Runner, token: str | None) -> None:
    few = Automaton(TokenMasks(TOKENS, ends=[END]), spelled, 12, SIZES)
    place = (few.number(behind("" if token else "{")), 0)
    few.describe(place[0])
    assert not await check(runner, few, place, token_of(token))
