"""Token masks against the matcher asked token by token, and a text written under a mask."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import product

import pytest

from webllm_py.errors import GrammarError
from webllm_py.grammar import (
    Grammar,
    Matcher,
    TokenMasks,
    gbnf,
    json_grammar,
    regex_grammar,
    schema_grammar,
)

END = 0


def vocabulary() -> list[bytes]:
    """Every byte, words, marks in a row, twins, parts of characters, and long runs."""
    words = [
        "name",
        "Name",
        " name",
        "na",
        "e",
        "12",
        "0.5",
        "true",
        "null",
        "é",
        "日本",
        " the",
        "a-b",
    ]
    marks = ["".join(x) for n in (1, 2, 3) for x in product('"{}[]:, ', repeat=n)]
    mixed = [
        'name":',
        'a"',
        '":"',
        '": 1',
        '"}',
        "\\n",
        '\\"',
        "\n    ",
        "1,",
        "aaaa",
        'x", "y',
        '"na',
    ]
    texts = [word.encode() for word in [*words, *marks, *mixed, "a" * 40, " " * 30, "ab" * 20]]
    special = [b"", b"\xe6\x97", b"\x97\xa5", b"\xa5\x22", b"name", b"name"]
    return [*special, *(bytes([byte]) for byte in range(256)), *texts]


TOKENS = vocabulary()
GRAMMARS: dict[str, Callable[[], Grammar]] = {
    "object": json_grammar,
    "anything": lambda: schema_grammar(True),
    "names": lambda: schema_grammar(
        {"type": "object", "properties": {"name": {"type": "string"}, "nab": {"type": "integer"}},
         "required": ["name"], "additionalProperties": {"type": "string", "maxLength": 30}}
    ),
    "lengths": lambda: schema_grammar({"type": "string", "minLength": 3, "maxLength": 21}),
    "pattern": lambda: schema_grammar({"type": "string", "pattern": "^[a-z]{2,18}-?[a-z ]*$"}),
    "search": lambda: schema_grammar({"type": "string", "pattern": "am", "maxLength": 12}),
    "without": lambda: schema_grammar({"type": "string", "not": {"enum": ["name", "aaaaa"]}}),
    "email": lambda: schema_grammar({"type": "string", "format": "email"}),
    "numbers": lambda: schema_grammar({"items": {"type": "number", "minimum": 0.5}, "minItems": 1}),
    "gbnf": lambda: gbnf('root ::= (pair | word)+\npair ::= "{" root? "}"\nword ::= [a-z]+ " "?'),
    "regex": lambda: regex_grammar("(a|na|日本){1,40}"),
}  # fmt: skip


def allowed(mask: bytes) -> set[int]:
    return {i for i in range(8 * len(mask)) if mask[i >> 3] >> (i & 7) & 1}


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_mask_is_what_the_matcher_accepts(name: str) -> None:
    masks = TokenMasks(TOKENS, ends=[END])
    chosen = random.Random(name)
    for _ in range(3):
        matcher = Matcher(GRAMMARS[name](), masks)
        for _ in range(25):
            expected = set()
            for token in range(len(TOKENS)):
                if matcher.accept(token):
                    expected.add(token)
                    matcher.rollback(1)
            mask = matcher.mask()
            assert len(mask) == 4 * masks.words
            assert allowed(mask) == expected
            assert expected, "a dead end"
            longer = [token for token in expected if len(TOKENS[token]) > 1]
            token = chosen.choice(sorted(longer if longer and chosen.random() < 0.7 else expected))
            matcher.accept(token)
            if matcher.is_ended:
                assert matcher.mask() == bytes(4 * masks.words)
                break


def test_masks_are_shared_by_grammars_and_remembered() -> None:
    masks = TokenMasks(TOKENS, ends=[END])
    one = Matcher(schema_grammar({"type": "string"}), masks)
    one.advance(b'"a')
    first = one.mask()
    one.advance(b"b")
    assert one.mask() is first


def test_random_tokens_under_masks_give_valid_json() -> None:
    masks = TokenMasks(TOKENS, ends=[END])
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 10},
            "kind": {"enum": ["a", "b"]},
            "list": {"type": "array", "items": {"type": "integer", "maximum": 99}, "maxItems": 3},
        },
        "required": ["name", "kind"],
        "additionalProperties": False,
    }
    grammar = schema_grammar(schema)
    chosen = random.Random(5)
    for _ in range(20):
        matcher, text = Matcher(grammar, masks), b""
        while not matcher.is_ended:
            token = chosen.choice(sorted(allowed(matcher.mask())))
            assert matcher.accept(token)
            text += TOKENS[token]
            assert len(text) < 5000
        value = json.loads(text)
        assert {"name", "kind"} <= set(value) <= {"name", "kind", "list"}
        assert len(value["name"]) <= 10 and value["kind"] in ("a", "b")


def test_forced_text() -> None:
    matcher = Matcher(schema_grammar({"const": {"name": 1}}, space=""))
    assert matcher.forced() == b'{"name":1}'
    assert matcher.advance(b'{"na') and matcher.forced() == b'me":1}'
    assert matcher.advance(b'me":1}') and matcher.is_complete and matcher.forced() == b""
    assert matcher.allowed_bytes() == []
    endless = Matcher(gbnf('root ::= "(" root | ")"'))
    assert endless.forced() == b"" and endless.allowed_bytes() == [40, 41]


def test_steps_are_taken_back() -> None:
    matcher = Matcher(json_grammar(), TokenMasks(TOKENS, ends=[END]))
    assert matcher.advance(b'{"a": ') and matcher.advance(b"[1, 2")
    assert not matcher.advance(b"]]") and not matcher.accept(END)
    matcher.rollback(1)
    assert matcher.advance(b"null}") and matcher.is_complete and matcher.accept(END)
    assert matcher.is_ended and not matcher.advance(b" ") and not matcher.accept(END)
    matcher.rollback(2)
    assert not matcher.is_ended and matcher.advance(b"true}")
    with pytest.raises(GrammarError, match="cannot take back 3 of 2"):
        matcher.rollback(3)


def test_a_matcher_without_a_vocabulary_reads_bytes_only() -> None:
    matcher = Matcher(json_grammar())
    with pytest.raises(GrammarError, match="without a vocabulary"):
        matcher.mask()


def test_tokens_outside_the_vocabulary_and_empty_ones_are_not_accepted() -> None:
    matcher = Matcher(schema_grammar(True), TokenMasks([b"", b"1"], ends=[0]))
    assert not matcher.accept(7) and not matcher.accept(-1)
    assert matcher.accept(1) and matcher.accept(0)


def test_tables_are_made_in_pieces_and_by_whoever_asks_first() -> None:
    tokens = [b"", *(f"{word}{number}".encode() for number in range(1000) for word in "ab ")]
    together, at_once = TokenMasks(tokens, ends=[0]), TokenMasks(tokens, ends=[0])
    one, other = together.preparing(), together.preparing()
    assert sum(1 for _ in zip(one, other, strict=False)) > 3
    assert [*one, *other] == [] and [*together.preparing()] == []
    grammar = regex_grammar("[ab]1?[0-9]{2}")
    expected = {i for i, text in enumerate(tokens) if text[:1] in (b"a", b"b") and len(text) < 4}
    expected |= {i for i, text in enumerate(tokens) if text[:2] in (b"a1", b"b1")}
    for masks in (together, at_once):
        assert allowed(Matcher(grammar, masks).mask()) == expected
