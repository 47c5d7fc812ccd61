"""Where a text stands under its constraint, and within what leaves no choice."""

from __future__ import annotations

import pytest

from webllm_py.grammar import Matcher, TokenMasks, regex_grammar
from webllm_py.runtime.generation.constraints import Place

TOKENS = [*(bytes([i]) for i in range(97, 123)), b"cd", b"bcd", b""]
END = TOKENS.index(b"")


class Letters:
    """Spells texts letter by letter."""

    end_ids = (END,)

    def token_bytes(self, id: int) -> bytes:
        return TOKENS[id]

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        return [byte - 97 for byte in text.encode()] if text.isalpha() else []


def spelled(text: str) -> list[int]:
    return Letters().encode(text, parse_special=False)


def place_in(regex: str, text: str) -> Place:
    place = Place(Matcher(regex_grammar(regex), TokenMasks(TOKENS, ends=[END])), Letters())
    assert all(map(place.accept, spelled(text)))
    return place


@pytest.mark.parametrize(
    ("text", "coming", "begun"),
    [
        ("", "", 0),
        ("a", "cdef", 0),  # the last letter may become another token with what follows
        ("ac", "def", 1),
        ("acde", "f", 3),
        ("acdef", "", 0),
        ("acdefgx", "", 0),
    ],
)
def test_what_leaves_no_choice_has_one_spelling(text: str, coming: str, begun: int) -> None:
    place = place_in("[ab]cdefg[xy]", text)
    assert [*place.coming] == spelled(coming)
    assert place.spelled == begun
    after = place.begun.behind(text[len(text) - begun :].encode())
    assert after is place.state


def test_another_spelling_is_read_too() -> None:
    """Where a text was free it may have been written otherwise."""
    place = place_in("[ab]cdefghi[xy]", "a")
    assert place.accept(TOKENS.index(b"cd"))
    assert (place.spelled, place.begun) == (0, place.state)
    assert [*place.coming] == spelled("efgh")


def test_what_is_refused_changes_nothing() -> None:
    place = place_in("[ab]cdefg[xy]", "ac")
    assert not place.accept(END) and not place.accept(0)
    assert [*place.coming] == spelled("def")
    assert not place.is_ended
    ended = place_in("[ab]cdefg[xy]", "acdefgx")
    assert ended.accept(END) and ended.is_ended and not ended.coming
