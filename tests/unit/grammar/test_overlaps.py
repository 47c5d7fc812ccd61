"""What may go on with a term, or come behind it, against a look at everything that may be left."""

from __future__ import annotations

import pytest

from webllm_py.grammar import schema_grammar
from webllm_py.grammar.boolean import both, complement
from webllm_py.grammar.overlaps import read_when_over
from webllm_py.grammar.regex import regex
from webllm_py.grammar.regular import sequence
from webllm_py.grammar.term import EMPTY, Regular
from webllm_py.grammar.words import literal, literals

QUOTED = sequence(literal(b'"'), regex("[a-z]*"), literal(b'"'))
NAMES = literals([b'"a"', b'"ab"', b'"b"'])
TERMS = {
    "literal": literal(b"name"),
    "tree": literals([b"na", b"name", b"nab", b"x"]),
    "digits": regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?"),
    "counted": regex("[a-z]{2,5}"),
    "string": QUOTED,
    "escaped": regex('"([^"\\\\]|\\\\["n])*"'),
    "ambiguous tail": regex("[a-c]*c"),
    "two readings": regex("ab?|abc"),
    "nested": regex("(a{1,2}b){1,3}"),
    "other names": both(QUOTED, complement(NAMES)),
}
EXACTLY_NONE = {"literal", "string", "escaped", "other names"}


def exactly(term: Regular) -> int:
    found, pending, seen = 0, [term], {term, EMPTY}
    for at in pending:
        found |= at.first() if at.nullable else 0
        for byte in range(256):
            rest = at.step(byte)
            if rest not in seen:
                seen.add(rest)
                pending.append(rest)
    return found


@pytest.mark.parametrize("name", TERMS)
def test_no_byte_is_left_out(name: str) -> None:
    found, exact = read_when_over(TERMS[name]), exactly(TERMS[name])
    assert found & exact == exact
    if name in EXACTLY_NONE:
        assert not found


def test_strings_of_schemas_end_with_their_quote() -> None:
    """So whatever comes behind them they have their records in common."""
    state = schema_grammar({"type": "string", "minLength": 2, "maxLength": 400}).start()
    ((term, _),) = state.configurations
    assert not read_when_over(term)
