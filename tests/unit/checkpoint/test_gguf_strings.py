"""Arrays of strings of a GGUF header, against a reader that goes from one string to the next."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Sequence

import pytest
from checkpoint_files import GGUFBytes, opened

from webllm_py.checkpoint.gguf_strings import LONGEST, MOST_TOGETHER, Strings
from webllm_py.errors import CorruptCheckpointError

TOKENS = ["a", "Ġthe", "Ċ", "é", "▁der", "中文", "<0x0A>", "x" * LONGEST, "ĠÐ" * 5]
UNUSUAL = ["", "\0", "\0" * 7, "a\0\0\0\0\0\0\0b", "\n\n", "\x1f", "y" * (LONGEST + 1), "z" * 300]


def packed(strings: Sequence[str]) -> bytes:
    encoded = [string.encode() for string in strings]
    return b"".join(struct.pack("<Q", len(data)) + data for data in encoded)


def drawn(rng: random.Random, count: int, unusual: float) -> list[str]:
    return [rng.choice(UNUSUAL if rng.random() < unusual else TOKENS) for _ in range(count)]


@pytest.mark.parametrize("unusual", [0.0, 0.001, 0.1, 1.0])
def test_strings_are_those_that_were_written(unusual: float) -> None:
    rng = random.Random(1)
    for count in (0, 1, 2, 300, 2 * MOST_TOGETHER + 3):
        wanted = drawn(rng, count, unusual)
        data = packed(wanted)
        behind = packed(["general.name"]) + bytes(40)  # a key looks like one more string
        strings = Strings()
        assert strings.take(b"before" + data + behind, 6, count) == 6 + len(data)
        assert len(strings) == count
        assert strings == wanted and [*strings] == wanted


def test_buffers_may_end_anywhere() -> None:
    wanted = [*TOKENS, *UNUSUAL, *TOKENS]
    data = packed(wanted)
    for cut in range(len(data)):
        strings = Strings()
        position = strings.take(data[:cut], 0, len(wanted))
        assert packed(wanted[: len(strings)]) == data[:position]
        assert strings.take(data[position:], 0, len(wanted)) == len(data) - position
        assert strings == wanted


@pytest.mark.parametrize("before", [*TOKENS, *UNUSUAL])
def test_the_string_that_is_no_text_is_named(before: str) -> None:
    good = [before] * 5
    for bad in (b"\xff", b"\xc3", b"ab\xed\xa0\x80", b"\x80\n"):
        data = packed(good) + struct.pack("<Q", len(bad)) + bad + packed(good)
        strings = Strings()
        with pytest.raises(UnicodeDecodeError):
            strings.take(data, 0, 11)
        assert len(strings) == 5


async def test_a_header_says_which_one_it_is() -> None:
    file = GGUFBytes(0, 1)
    file.array("tokens", 8, 1001)
    file.data += packed(["Ġthe"] * 1000) + struct.pack("<Q", 2) + b"\xc3("
    with pytest.raises(CorruptCheckpointError, match="bad UTF-8 in string 1000 of key 'tokens'"):
        await opened(file)


@pytest.mark.parametrize("text", ["\n", "a\0", "", "x" * 40, "Ġthe"])
def test_no_kind_of_string_takes_long(text: str) -> None:
    """Whatever a file has of them, each is looked at once or twice."""
    count = 200_000
    strings = Strings()
    begun = time.process_time()
    strings.take(packed([text, "b"]) * (count // 2), 0, count)
    assert strings[count - 2 :] == [text, "b"]
    assert time.process_time() - begun < 3


def test_they_are_a_sequence() -> None:
    strings = Strings()
    strings.take(packed(TOKENS), 0, len(TOKENS))
    assert strings[1] == "Ġthe" and strings[-2:] == TOKENS[-2:]
    assert list(reversed(strings)) == TOKENS[::-1] and "é" in strings
    assert repr(strings) == repr(TOKENS)
    assert strings != TOKENS[:-1] and strings != "".join(TOKENS) and strings == strings
