"""Guesses from the text itself."""

from __future__ import annotations

from webllm_py.runtime.generation.lookup import Lookup


def test_nothing_to_guess_from() -> None:
    assert Lookup().guesses(4) == []
    assert Lookup([1, 2, 3, 4, 5]).guesses(4) == []
    assert Lookup([1, 2, 9, 1, 2]).guesses(4) == [], "two tokens may be alike by chance"


def test_what_followed_the_last_time() -> None:
    text = Lookup([1, 2, 3, 10, 0, 1, 2, 3, 20, 21, 22, 0, 1, 2, 3])
    assert text.guesses(3) == [20, 21, 22]
    assert text.guesses(1) == [20]


def test_a_streak_goes_on_until_a_guess_is_wrong() -> None:
    text = Lookup([1, 2, 3, 4, 5, 6, 7, 8, 0])
    for token in (1, 2, 3):
        text.add(token)
        assert text.streak == 0
    for length, token in enumerate((4, 5, 6), start=1):
        text.add(token)
        assert text.streak == length
    assert text.guesses(2) == [7, 8]
    text.add(99)
    assert (text.streak, text.guesses(2)) == (0, [])


def test_a_repetition_is_guessed_to_go_on() -> None:
    assert Lookup([5, 1, 2, 1, 2, 1, 2]).guesses(5) == [1, 2, 1, 2, 1]
    assert Lookup([7, 7, 7, 7]).guesses(3) == [7, 7, 7]
