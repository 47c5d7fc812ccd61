"""Training rows: documents tokenised, marked and packed, made by processes beside the trainer."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Iterator
from multiprocessing.queues import Queue

import numpy as np
from numpy.typing import NDArray

from demo.pocket.bpe import BytePairEncoding
from demo.pocket.chat_format import PAD, segments
from demo.pocket.corpus import Draw, documents

__all__ = ["LEARNED", "START", "TOKEN", "RowMaker", "rows"]

# A row is uint16: the token's id, and two marks above it.
TOKEN, LEARNED, START = (1 << 14) - 1, 1 << 14, 1 << 15
"""Bits of the id; set where the token is to be predicted; set on the first token of a document."""

Row = NDArray[np.uint16]

_OPEN_ROWS = 16


def _encoded(seed: int, bpe: BytePairEncoding) -> Iterator[Row]:
    for document in documents(Draw(seed)):
        tokens: list[int] = []
        for text, learned in segments(document):
            ids = bpe.encode(text)
            tokens += [i | LEARNED for i in ids] if learned else ids
        tokens[0] |= START
        yield np.array(tokens, dtype=np.uint16)


def rows(seed: int, length: int, how_many: int, bpe: BytePairEncoding) -> NDArray[np.uint16]:
    """Rows of ``length`` filled with whole documents (best fit); the rest of a row is padding.

    Documents longer than a row are left out.
    """
    pad = np.uint16(bpe.special[PAD] | START)
    done = np.full((how_many, length), pad)
    unfinished: list[tuple[int, list[Row]]] = []  # tokens and documents of each row
    finished = 0
    for document in _encoded(seed, bpe):
        size = len(document)
        if size > length:
            continue
        fitting = [i for i, (used, _) in enumerate(unfinished) if used + size <= length]
        if fitting:
            i = max(fitting, key=lambda i: unfinished[i][0])
            used, parts = unfinished[i]
            parts.append(document)
            unfinished[i] = (used + size, parts)
            continue
        if len(unfinished) == _OPEN_ROWS:
            fullest = max(range(_OPEN_ROWS), key=lambda i: unfinished[i][0])
            used, parts = unfinished.pop(fullest)
            done[finished, :used] = np.concatenate(parts)
            finished += 1
            if finished == how_many:
                break
        unfinished.append((size, [document]))
    return done


class RowMaker:
    """Processes that make rows until they are stopped.

    Start it before CUDA is used: the processes are forked.
    """

    def __init__(self, *, processes: int, seed: int, length: int, rows_a_shard: int):
        context = multiprocessing.get_context("fork")
        self._queue: Queue[NDArray[np.uint16]] = context.Queue(maxsize=8 * processes)
        self._processes = [
            context.Process(
                target=_make,
                args=(self._queue, range(seed + i, 1 << 31, processes), length, rows_a_shard),
                daemon=True,
            )
            for i in range(processes)
        ]
        for process in self._processes:
            process.start()

    def take(self, *, wait: bool) -> NDArray[np.uint16] | None:
        """The next shard; None if there is none and ``wait`` is not set.

        Raises:
            RuntimeError: nothing came for two minutes.
        """
        try:
            return self._queue.get(timeout=120) if wait else self._queue.get_nowait()
        except queue.Empty:
            if wait:
                raise RuntimeError("the processes that make the corpus give nothing") from None
            return None

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()


def _make(out: Queue[NDArray[np.uint16]], seeds: range, length: int, how_many: int) -> None:
    bpe = BytePairEncoding()  # remembers the words that it has split
    for seed in seeds:
        out.put(rows(seed, length, how_many, bpe))
