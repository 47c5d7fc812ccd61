"""The automaton's words, read as a GPU reads them, against the matcher, token by token."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
from followed import Followed, MissingError
from test_masks import END, GRAMMARS, TOKENS, allowed

from webllm_py.grammar import Grammar, Matcher, TokenMasks, gbnf, regex_grammar, schema_grammar
from webllm_py.grammar.automaton import Automaton
from webllm_py.grammar.free import free_text
from webllm_py.grammar.pushdown import Series, Terminal
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
    return Automaton(MASKS, never, 0)


@pytest.mark.parametrize("name", EXAMPLES)
def test_words_say_what_the_matcher_says(automaton: Automaton, name: str) -> None:
    """Whatever texts and grammars came before."""
    chosen = random.Random(name)
    grammar = EXAMPLES[name]()
    for _ in range(3):
        matcher = Matcher(grammar, MASKS)
        number = automaton.number(matcher.state)
        for _ in range(20 if name == "list" else 10):
            found = told(automaton, lambda words, at=number: words.allowed(at, TOKENS))  # type: ignore[misc]
            assert found == allowed(matcher.mask())
            if not found:
                break
            token = chosen.choice(sorted(found))
            matcher.accept(token)
            if token == END:
                break
            place = (number, 0)
            number, spelled = told(
                automaton,
                lambda words, at=place, token=token: words.follow(at, token, TOKENS[token]),  # type: ignore[misc]
            )
            assert not spelled


@pytest.mark.parametrize("name", ["list", "names", "lengths"])
def test_what_is_near_is_known(name: str) -> None:
    """Nothing is missing for the masks of the next tokens."""
    automaton = Automaton(MASKS, never, 0)
    state = EXAMPLES[name]().start()
    for token in (b"{", b'"', b"name", b'"'):
        for _ in automaton.near(automaton.number(state), 12, lambda number: True):
            pass
        words = Followed(automaton.words, automaton.sizes)
        assert words.allowed(automaton.number(state), TOKENS) == allowed(MASKS.mask(state))
        state = state.behind(token) or state
