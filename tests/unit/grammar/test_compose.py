"""Free text up to a trigger, and grammars put together."""

from __future__ import annotations

import pytest

from webllm_py.errors import GrammarError
from webllm_py.grammar import Grammar, Matcher, TokenMasks, schema_grammar
from webllm_py.grammar.compose import Tag, any_of, in_free_text, in_order, one_or_more
from webllm_py.grammar.free import free_text
from webllm_py.grammar.term import EMPTY
from webllm_py.grammar.words import literal

NUMBER = schema_grammar({"type": "integer"})
TAGS = [Tag(b"<f=a>", NUMBER, b"</f>"), Tag(b"<f=b>", b"x", b"</f>"), Tag(b"(", NUMBER, b")")]
TRIGGERS = [b"<f=", b"("]


@pytest.mark.parametrize(
    ("text", "free", "one", "once", "only_once"),
    [
        (b"", True, False, True, False),
        (b"a < b <f", True, False, True, False),
        (b"x<f=a>12</f>y(3)z<<f=b>x</f>", True, True, False, False),
        (b"x<f=b>x</f>", True, True, True, True),
        (b"x<f=b>x</f>y", True, True, False, False),
        (b"\xc3\xa9(1)\xc3", True, True, False, False),
        (b"<f=c>", False, False, False, False),
        (b"<f=b>1</f>", False, False, False, False),
        (b"(1", False, False, False, False),
        (b"\xff", False, False, False, False),
    ],
)
def test_tags_in_free_text(text: bytes, free: bool, one: bool, once: bool, only_once: bool) -> None:
    for expected, least, stop in (
        (free, False, False),
        (one, True, False),
        (once, False, True),
        (only_once, True, True),
    ):
        node = in_free_text(TAGS, TRIGGERS, at_least_one=least, stop_after_first=stop)
        assert Grammar(node).matches(text) == expected, (least, stop)


@pytest.mark.parametrize("triggers", [[b"<f="], [b"<f=", b"(", b"["], [b"<", b"<f=", b"("], [b""]])
def test_triggers_that_do_not_fit_the_tags(triggers: list[bytes]) -> None:
    with pytest.raises(GrammarError, match="trigger"):
        in_free_text(TAGS, triggers)


def test_an_anchored_trigger_counts_at_the_beginning_only() -> None:
    grammar = Grammar(in_order(free_text(literal(b"ab"), anchored=True), b"!"))
    for text in (b"", b"a", b"ab!", b"xab", b"aab?", b"b"):
        assert grammar.matches(text)
    for text in (b"ab", b"ab?"):
        assert not grammar.matches(text)


def test_one_after_the_other_and_any_of() -> None:
    pair = in_order(b"<", any_of(b"x", NUMBER), b">")
    several = Grammar(one_or_more(pair, b", "))
    assert several.matches(b"<x>, <12>, <x>") and not several.matches(b"<x>, ")
    assert not Grammar(one_or_more(pair, b", ", most=1)).matches(b"<x>, <x>")


def test_masks_of_free_text() -> None:
    """Any token, but one in which a trigger goes on wrongly; the text may end."""
    tokens = [b"", b"a", b"<", b"f>", b"<f>", b"<f>1", b"<f>x", b"z<f", b">x", b">1", b"\xc3"]
    masks = TokenMasks(tokens, ends=[0])
    matcher = Matcher(Grammar(in_free_text([Tag(b"<f>", NUMBER, b"")], [b"<f>"])), masks)

    def allowed() -> set[int]:
        bits = int.from_bytes(matcher.mask(), "little")
        return {i for i in range(len(tokens)) if bits >> i & 1}

    assert allowed() == {*range(len(tokens))} - {6}
    assert matcher.accept(7)
    assert allowed() == {*range(len(tokens))} - {6, 8}
    assert matcher.accept(9)
    assert {0, 1} <= allowed()
    assert Grammar(free_text(EMPTY)).matches(b"any text")
