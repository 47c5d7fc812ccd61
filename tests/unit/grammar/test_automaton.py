"""The automaton against the matcher: what it knows is what the matcher says, token by token."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from test_masks import END, GRAMMARS, TOKENS, allowed

from webllm_py.grammar import Matcher, TokenMasks, regex_grammar, schema_grammar
from webllm_py.grammar.automaton import Automaton
from webllm_py.grammar.descriptions import Sizes
from webllm_py.grammar.slices import CLASSES

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
EXAMPLES = {
    **GRAMMARS,
    "list": lambda: schema_grammar({"type": "array", "items": ITEM, "minItems": 2}),
}
MASKS = TokenMasks(TOKENS, ends=[END])
BYTES = TOKENS.index(b"\0")  # the tokens of single bytes begin there


def never(forced: bytes) -> Sequence[int]:
    return ()


def by_bytes(forced: bytes) -> list[int]:
    return [BYTES + byte for byte in forced][:-1]


@pytest.fixture(scope="module")
def automaton() -> Automaton:
    for _ in MASKS.preparing():
        pass
    return Automaton(MASKS, never, 0)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_it_knows_is_what_the_matcher_says(automaton: Automaton, name: str) -> None:
    chosen = random.Random(name)
    known_at_once = met = 0
    grammar = EXAMPLES[name]()
    for _ in range(3):
        matcher = Matcher(grammar, MASKS)
        number = automaton.number(matcher.state)
        for _ in range(20 if name == "list" else 10):
            automaton.following(number)
            mask = automaton.describe(number).mask
            tokens = {mask} if isinstance(mask, int) else allowed(mask)
            assert tokens == allowed(matcher.mask())
            for token in sorted(tokens - {END}):
                met += 1
                if known := automaton.known(number, token):
                    known_at_once += 1
                    matcher.accept(token)
                    assert known == automaton.number(matcher.state)
                    matcher.rollback(1)
            token = chosen.choice(sorted(tokens))
            matcher.accept(token)
            number = automaton.behind(number, token)
            if token == END:
                assert not number
                break
            assert number == automaton.number(matcher.state)
    assert known_at_once > 0.2 * met, "many tokens have a class or are among the first"


def test_what_was_met_is_known(automaton: Automaton) -> None:
    matcher = Matcher(GRAMMARS["lengths"](), MASKS)
    matcher.advance(b'"')
    number = automaton.number(matcher.state)
    part = TOKENS.index(b"\xe6\x97")
    assert not automaton.known(number, part)
    behind = automaton.behind(number, part)
    assert automaton.known(number, part) == behind
    assert behind in automaton.following(number)


def test_strings_of_counted_characters_need_a_few_classes(automaton: Automaton) -> None:
    """All tokens of so many letters lead to the state with so many characters left."""
    matcher = Matcher(GRAMMARS["lengths"](), MASKS)
    matcher.advance(b'"')
    number = automaton.number(matcher.state)
    automaton.following(number)
    known = automaton.describe(number)
    assert len(known.by_class) == CLASSES
    assert len(set(known.by_class) - {0}) == 21


def test_strings_have_in_common_what_is_inside_of_them(automaton: Automaton) -> None:
    """Two of a list and one in an object, which goes on otherwise."""
    string = {"type": "string", "minLength": 3, "maxLength": 21}
    lists = schema_grammar({"items": string, "minItems": 5, "maxItems": 9, "type": "array"})
    pair = {"type": "object", "properties": {"a": string}, "additionalProperties": False}
    frames, places, masks = set(), [], []
    for grammar, text in (
        (lists, b'["'),
        (lists, b'["abc","'),
        (lists, b'["abc","abc","abc","abc","'),
        (schema_grammar(pair), b'{"a":"'),
    ):
        matcher = Matcher(grammar, MASKS)
        matcher.advance(text)
        for part in (b"name", b"e", b"-"):
            matcher.accept(TOKENS.index(part))
        place = automaton.place(automaton.number(matcher.state))
        assert not place.state
        frames.add(place.frame)
        places.append((place.term, place.kind))
        masks.append(matcher.mask())
    assert len(frames) == 4
    first, second, fifth, in_object = places
    assert first == second, "both go on with a comma"
    assert fifth[0] == first[0] == in_object[0]
    assert len({first[1], fifth[1], in_object[1]}) == 3 == len({*masks})


def test_what_is_known_inside_of_a_string_is_known_in_others(automaton: Automaton) -> None:
    """In the same place of another item: how it usually ends, at once, and what was met."""
    string = {"type": "string", "maxLength": 40}
    grammar = schema_grammar({"items": string, "minItems": 9, "type": "array"})
    part, closing = TOKENS.index(b"\xe6\x97"), TOKENS.index(b'"')
    descriptions = []
    for text in (b'["', b'["abc","'):
        matcher = Matcher(grammar, MASKS)
        matcher.advance(text)
        number = automaton.number(matcher.state)
        descriptions.append(automaton.describe(number))
        assert bool(automaton.known(number, part)) == (len(descriptions) > 1)
        for token in (part, closing):
            after = Matcher(grammar, MASKS)
            after.advance(text + TOKENS[token])
            if token == closing:
                assert automaton.known(number, token) == automaton.number(after.state)
            assert automaton.behind(number, token) == automaton.number(after.state)
    assert descriptions[0] is descriptions[1]


def test_text_without_a_choice_is_spelled() -> None:
    automaton = Automaton(MASKS, by_bytes, longest=4)
    matcher = Matcher(regex_grammar("[xy]abcde?"), MASKS)
    start = matcher.state
    matcher.advance(b"x")
    state = matcher.state
    numbers = [automaton.number(state)]
    for byte in b"abc":
        token = BYTES + byte
        assert automaton.describe(numbers[-1]).mask == token
        numbers.append(automaton.behind(numbers[-1], token))
    matcher.advance(b"abc")
    assert numbers[-1] == automaton.number(matcher.state), "the last of a spelling is drawn"
    written = [number for number, _ in automaton.described(numbers[0])]
    assert sorted(written) == sorted(numbers[:-1]) and written[-1] == numbers[0]
    assert not automaton.certain(start) and not automaton.certain(state)
    few = Automaton(MASKS, by_bytes, longest=2)
    assert few.certain(state) == by_bytes(b"abcd") and few.certain_behind(few.number(state))


def test_there_is_room_for_so_many_states() -> None:
    sizes = Sizes(states=8, terms=4, frames=1, kinds=1)
    automaton = Automaton(MASKS, never, 0, sizes)
    matcher = Matcher(GRAMMARS["names"](), MASKS)
    first = matcher.state
    for text in (b'{"nx":"', b"ab", b'","name":', b'"', b'"', b"}"):
        matcher.advance(text)
        number = automaton.number(matcher.state)
        for other in automaton.following(number) if number else ():
            place = automaton.place(other)
            assert place.state < 8 and place.term < 4 and not place.frame and not place.kind
    assert not automaton.number(first), "there is no room for another"
    automaton.clear()
    assert automaton.number(first) == 1
