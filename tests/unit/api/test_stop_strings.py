"""StopFilter against the plain definition of what it does, on random texts in random pieces."""

from __future__ import annotations

import random
import time

import pytest

from webllm_py.api.stops import StopFilter


def plain_cut(text: str, stops: list[str]) -> tuple[str, bool]:
    """Grow the text letter by letter; the first time it ends with a stop string, cut there."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            return text[: end - len(max(ending, key=len))], True
    return text, False


def plain_held(text: str, stops: list[str]) -> str:
    """The longest end of the text that some stop string starts with."""
    ends = [text[-n:] for n in range(1, len(text) + 1)]
    return max(
        (end for end in ends if any(stop.startswith(end) for stop in stops)), key=len, default=""
    )


def pieces(rng: random.Random, text: str) -> list[str]:
    """The text cut at random places; some pieces may be empty."""
    cuts = sorted(rng.choices(range(len(text) + 1), k=rng.randrange(len(text) + 3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def test_equals_the_plain_definition_however_the_text_is_cut() -> None:
    rng = random.Random(20)
    stopped_cases = 0
    for _ in range(4000):
        letters = rng.choice(["ab", "abc", "aé🎉"])
        stops = [
            "".join(rng.choices(letters, k=rng.randrange(1, 7))) for _ in range(rng.randrange(5))
        ]
        text = "".join(rng.choices(letters, k=rng.randrange(40)))
        expected, expected_stop = plain_cut(text, stops)

        stop_filter = StopFilter(stops)
        shown, seen, stopped = "", "", False
        for piece in pieces(rng, text):
            emitted, stopped = stop_filter.push(piece)
            shown += emitted
            seen += piece
            if not stopped:
                assert shown + plain_held(seen, stops) == seen, (text, stops)
        shown += stop_filter.flush()

        assert (shown, stopped) == (expected, expected_stop), (text, stops)
        assert stop_filter.stopped == expected_stop
        stopped_cases += expected_stop
    assert 1000 < stopped_cases < 3900  # both outcomes were really tried


def test_a_partial_stop_string_waits_and_is_let_go_when_it_fails() -> None:
    stop_filter = StopFilter(["\nUser:"])
    assert stop_filter.push("Yes.\nUs") == ("Yes.", False)
    assert stop_filter.push("e") == ("", False)
    assert stop_filter.push("ful") == ("\nUseful", False)
    assert stop_filter.push("!\nUser: hi") == ("!", True)
    assert stop_filter.push("more") == ("", True)
    assert stop_filter.flush() == ""


def test_without_stop_strings_everything_passes_at_once() -> None:
    stop_filter = StopFilter([])
    assert stop_filter.push("anything") == ("anything", False)
    assert stop_filter.flush() == ""


def test_flush_gives_what_was_held_and_starts_afresh() -> None:
    stop_filter = StopFilter(["abc"])
    assert stop_filter.push("xab") == ("x", False)
    assert stop_filter.flush() == "ab"
    assert stop_filter.push("c") == ("c", False)


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        StopFilter(["a", ""])


@pytest.mark.parametrize("piece_length", [1, 100_000])
def test_time_is_linear_for_the_worst_text(piece_length: int) -> None:
    """Text that almost completes long stop strings again and again: quadratic would be 10^9."""
    stops = ["a" * 9_999 + "b", "a" * 5_000 + "c"]
    text = "a" * 100_000
    started = time.process_time()
    stop_filter = StopFilter(stops)
    shown = 0
    for start in range(0, len(text), piece_length):
        shown += len(stop_filter.push(text[start : start + piece_length])[0])
    assert shown == len(text) - 9_999
    assert time.process_time() - started < 3
