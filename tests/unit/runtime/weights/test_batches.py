"""Which pieces of a file are fetched together, and when their source is told."""

from __future__ import annotations

import random
from typing import Any

from webllm_py.checkpoint.checkpoint import FORMATS, TensorInfo
from webllm_py.models.weights import Part, Vector
from webllm_py.runtime.weights.batches import AHEAD_BYTES, LEAST_BYTES, SLOW, Batches
from webllm_py.runtime.weights.pieces import (
    MOST_APART,
    MOST_PIECES,
    Piece,
    VectorTarget,
    first_batch,
)


def piece(offset: int, nbytes: int, source: object) -> Piece:
    tensor = TensorInfo("t", (nbytes // 4,), FORMATS["F32"], source, offset, nbytes)  # type: ignore[arg-type]
    return Piece(tensor, offset, nbytes, VectorTarget(Vector("v"), Part(tensor), 0))


def batches(pieces: list[Piece], most: int) -> list[list[Piece]]:
    found: list[list[Piece]] = []
    at = 0
    while batch := first_batch(pieces, at, most):
        found.append(list(batch))
        at += len(batch)
    return found


def test_neighbours_go_together_up_to_the_limit() -> None:
    source = object()
    pieces = [piece(100 * i, 100, source) for i in range(10)]
    assert [len(batch) for batch in batches(pieces, 350)] == [3, 3, 3, 1]


def test_a_large_one_goes_alone() -> None:
    source = object()
    pieces = [piece(0, 8, source), piece(8, 5000, source), piece(5008, 8, source)]
    assert [len(batch) for batch in batches(pieces, 100)] == [1, 1, 1]


def test_what_lies_apart_or_in_another_file_does_not() -> None:
    one, two = object(), object()
    near, far = 8 + MOST_APART - 1, 16 + 3 * MOST_APART
    pieces = [piece(0, 8, one), piece(near, 8, one), piece(far, 8, one), piece(far + 8, 8, two)]
    assert [len(batch) for batch in batches(pieces, 1 << 20)] == [2, 1, 1]


def test_all_pieces_come_once_and_in_order() -> None:
    rng = random.Random(5)
    for most in (1000, 1 << 20):
        offset, pieces = 0, []
        source = object()
        for _ in range(500):
            offset += rng.choice([0, 0, 0, 20, 5000])
            size = 4 * rng.randrange(1, 200)
            pieces.append(piece(offset, size, source))
            offset += size
        found = batches(pieces, most)
        assert [p for batch in found for p in batch] == pieces
        for batch in found:
            end = batch[-1].offset + batch[-1].nbytes
            assert len(batch) == 1 or end - batch[0].offset <= most
            assert len(batch) <= MOST_PIECES


class Ahead:
    """A source that reads ahead, of which only what it is told matters."""

    name = "ahead"
    read = read_chunk = read_all = size = pause = close = release = print

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def expect(self, offset: int, length: int) -> None:
        self.told.append((offset, length))


MIB = 1 << 20
MOST = 8 * MIB


def of_a_mib(count: int, source: object) -> list[Piece]:
    return [piece(i * MIB, MIB, source) for i in range(count)]


def test_a_source_that_reads_ahead_is_told_in_the_order_of_the_reads() -> None:
    source = Ahead()
    coming = Batches(of_a_mib(200, source), MOST)
    coming.begin()
    assert [length // MIB for _, length in source.told[:5]] == [1, 2, 4, 8, 8]
    assert AHEAD_BYTES <= sum(length for _, length in source.told) < AHEAD_BYTES + MOST
    read = 0
    for _, length in iter_told(coming, source):
        read += length
        ahead = sum(length for _, length in source.told) - read
        assert ahead < AHEAD_BYTES + MOST
        assert ahead >= min(AHEAD_BYTES, 200 * MIB - read)
    assert read == 200 * MIB


def iter_told(coming: Batches, source: Ahead) -> Any:
    """What is read, as it was told."""
    at = 0
    while batch := coming.next():
        place = batch[0].offset, batch[-1].offset + batch[-1].nbytes - batch[0].offset
        assert source.told[at] == place
        yield place
        at += 1


def test_large_pieces_are_told_two_ahead() -> None:
    source = Ahead()
    coming = Batches([piece(i * 100 * MIB, 100 * MIB, source) for i in range(5)], MOST)
    coming.begin()
    assert len(source.told) == 2
    coming.next()
    assert len(source.told) == 3


def test_other_sources_get_batches_as_large_as_come_quickly() -> None:
    coming, sizes = Batches(of_a_mib(40, object()), MOST), []
    coming.begin()
    for seconds in (0, 0, 0, 0, 2 * SLOW, 2 * SLOW, 2 * SLOW, 2 * SLOW, SLOW):
        sizes.append(len(coming.next()))
        coming.waited(seconds)
    assert sizes == [1, 2, 4, 8, 8, 4, 2, 1, 1]
    assert LEAST_BYTES == MIB


def test_sources_of_both_kinds_follow_each_other() -> None:
    ahead, plain, last = Ahead(), object(), Ahead()
    pieces = of_a_mib(3, ahead) + of_a_mib(3, plain) + of_a_mib(3, last)
    coming, found = Batches(pieces, MOST), []
    coming.begin()
    while batch := coming.next():
        found += batch
    assert found == pieces
    assert ahead.told == [(0, MIB), (MIB, 2 * MIB)]
    assert sum(length for _, length in last.told) == 3 * MIB
