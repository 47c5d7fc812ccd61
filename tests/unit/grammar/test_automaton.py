"""The automaton's words, read as a GPU reads them, against the matcher, token by token."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import pytest
from followed import Followed, MissingError, StoppedError
from test_masks import END, GRAMMARS, TOKENS, allowed

from webllm_py.errors import UnsupportedSchemaError
from webllm_py.grammar import Grammar, Matcher, TokenMasks, gbnf, regex_grammar, schema_grammar
from webllm_py.grammar.automaton import Automaton, Sizes
from webllm_py.grammar.compose import Named
from webllm_py.grammar.free import free_text
from webllm_py.grammar.pushdown import Series, Terminal
from webllm_py.grammar.records import LAST
from webllm_py.grammar.regex import regex
from webllm_py.grammar.words import literal

Found = TypeVar("Found")
ITEM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 20},
        "e": {"type": "string"},
        "kinds": {"type": "array", "items": {"enum": ["na", "nab", 12]}, "maxItems": 2},
    },
    "required": ["name"],
    "additionalProperties": False,
}
OVER_AND_ON = 'root ::= [a-z]{1,20} "-"? [a-n]* word\nword ::= [a-e]+ ("," word)?'
CALL = Series([free_text(literal(b"<na")), Terminal(literal(b"me>"))])
EXAMPLES = {
    **GRAMMARS,
    "list": lambda: schema_grammar({"type": "array", "items": ITEM, "minItems": 2}),
    "long": lambda: schema_grammar({"type": "string", "minLength": 140, "maxLength": 300}),
    "counted twice": lambda: regex_grammar("([a-z]{2,20}-){16,18}[0-9]{0,40}na?"),
    "over and on": lambda: gbnf(
        'root ::= [a-z]{1,20} "-"? [a-n]* word\nword ::= [a-e]+ ("," word)?'
    ),
    "free": lambda: Grammar(CALL),
}
MASKS = TokenMasks(TOKENS, ends=[END])
BYTES = TOKENS.index(b"\0")  # the tokens of single bytes begin there


def never(forced: bytes) -> Sequence[int]:
    return ()


def by_bytes(forced: bytes) -> list[int]:
    return [BYTES + byte for byte in forced][:-1]


def told(automaton: Automaton, ask: Callable[[Followed], Found]) -> Found:
    """An answer of the words, once they have what it takes."""
    while True:
        try:
            return ask(Followed(automaton.words, automaton.sizes))
        except MissingError as error:
            for _ in automaton.changes():
                pass
            automaton.describe(error.state)
            assert [*automaton.changes()], "it has that already"


@pytest.fixture(scope="module")
def automaton() -> Automaton:
    return Automaton(MASKS, never)


def check_a_text(automaton: Automaton, grammar: Grammar, chosen: random.Random, most: int) -> None:
    """Follow a random text of so many tokens; each time all tokens are looked at."""
    matcher = Matcher(grammar, MASKS)
    number = automaton.number(matcher.state)
    for _ in range(most):
        found = told(automaton, partial(Followed.allowed, state=number, tokens=TOKENS))
        assert found == allowed(matcher.mask())
        if not found:
            return
        token = chosen.choice(sorted(found))
        matcher.accept(token)
        if token == END:
            return
        follow = partial(Followed.follow, place=(number, 0), token=token, text=TOKENS[token])
        number, spelled = told(automaton, follow)
        assert not spelled


@pytest.mark.parametrize("name", EXAMPLES)
def test_words_say_what_the_matcher_says(automaton: Automaton, name: str) -> None:
    """Whatever texts and grammars came before."""
    chosen, grammar = random.Random(name), EXAMPLES[name]()
    for _ in range(3):
        check_a_text(automaton, grammar, chosen, 20 if name == "list" else 10)


def test_real_schemas(
    automaton: Automaton,
    schema_data: Callable[[str], list[Any]],
    request: pytest.FixtureRequest,
) -> None:
    """All 400 of MaskBench with ``--long``, else each fiftieth."""
    every = 1 if request.config.getoption("--long") else 50
    for case in schema_data("maskbench-400.jsonl")[::every]:
        try:
            grammar = schema_grammar(case["schema"])
        except UnsupportedSchemaError:
            continue
        if automaton.full or len(automaton.words) > automaton.sizes.words // 2:
            automaton.clear()
        check_a_text(automaton, grammar, random.Random(case["id"]), 8)


@pytest.mark.parametrize("name", ["list", "names", "lengths"])
def test_what_is_near_is_known(name: str) -> None:
    """Nothing is missing for the masks of the next tokens."""
    automaton = Automaton(MASKS, never)
    state = EXAMPLES[name]().start()
    for token in (b"{", b'"', b"name", b'"'):
        for _ in automaton.near(automaton.number(state), 12, lambda number: True):
            pass
        words = Followed(automaton.words, automaton.sizes)
        assert words.allowed(automaton.number(state), TOKENS) == allowed(MASKS.mask(state))
        state = state.behind(token) or state


@pytest.mark.parametrize("parts", [["[xy]abcde?"], ["[xy]", "abcde?"], ["[xy]ab", "cde?"]])
def test_text_without_a_choice_is_spelled(parts: list[str]) -> None:
    """Up to its last token, whether it ends with a term or not."""
    grammar = Grammar(Series([Named(regex(part)) for part in parts]))
    automaton = Automaton(MASKS, by_bytes)
    start, token = grammar.start(), BYTES + ord("x")
    follow = partial(Followed.follow, place=(automaton.number(start), 0), token=token, text=b"x")
    place, written = told(automaton, follow), b""
    while place[1]:
        token = automaton.words[place[1]]
        written += TOKENS[token]
        place = told(automaton, partial(Followed.follow, place=place, token=token, text=b""))
    assert written == b"abc"
    found = told(automaton, partial(Followed.allowed, state=place[0], tokens=TOKENS))
    after = start.behind(b"xabc")
    assert after and found == allowed(MASKS.mask(after))
    with pytest.raises(StoppedError):  # the host takes over
        Followed(automaton.words, automaton.sizes, longest=2).follow(
            (automaton.number(start), 0), token, b"x"
        )
    behind = start.behind(b"x")
    assert behind and automaton.spelling(behind) == by_bytes(b"abcd")
    number, at = automaton.place(behind, 1)
    assert (number, automaton.words[at]) == (place[0], BYTES + ord("b"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_spellings_are_where_the_host_has_them(name: str) -> None:
    """It has to know where in one a text stands."""
    automaton, grammar = Automaton(MASKS, by_bytes), EXAMPLES[name]()
    for seed in range(2):
        matcher, chosen = Matcher(grammar, MASKS), random.Random(f"{name}{seed}")
        for _ in range(20):
            place = automaton.place(matcher.state)
            number, at = told(automaton, partial(Followed.arrive, state=place[0]))
            coming = automaton.spelling(matcher.state)
            if coming:
                end = at + len(coming)
                assert [*automaton.words[at : end + 1]] == [*coming, LAST]
                assert automaton.place(matcher.state, 1) == (number, at + 1)
            else:
                assert (number, at) == (place[0], 0)
            tokens = coming or [chosen.choice(sorted(allowed(matcher.mask())))]
            if not all(map(matcher.accept, tokens)) or matcher.is_ended:
                break
            if not matcher.state.first():
                break


def test_there_is_room_for_so_much() -> None:
    """Nothing is told in part: what there is no room for is not known."""
    state = EXAMPLES["list"]().start()
    whole = allowed(MASKS.mask(state))
    for room in (10, 200, 800, 3000):
        automaton = Automaton(MASKS, never, Sizes(Sizes().records_at + room))
        number = automaton.number(state)
        for _ in automaton.near(number, 20, lambda number: True):
            pass
        assert automaton.full and len(automaton.words) <= automaton.sizes.words
        words = Followed(automaton.words, automaton.sizes)
        if not words.missing(number, TOKENS):
            assert words.allowed(number, TOKENS) == whole
        automaton.clear()
        assert not automaton.full and automaton.number(state) == number
    few = Automaton(MASKS, never, Sizes(states=4, terms=8, frames=2))
    for _ in few.near(few.number(state), 20, lambda number: True):
        pass
    assert few.full
