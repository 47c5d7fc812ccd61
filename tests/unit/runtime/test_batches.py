"""Which pieces of a file are fetched together."""

from __future__ import annotations

import random

from webllm_py.checkpoint.checkpoint import FORMATS, TensorInfo
from webllm_py.models.weights import Part, Vector
from webllm_py.runtime.pieces import MOST_APART, MOST_PIECES, Piece, VectorTarget, first_batch


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
