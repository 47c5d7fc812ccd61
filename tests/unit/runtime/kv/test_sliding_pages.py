"""Pages that drop out against a naive model: what is in the cache is what reading the text from its
beginning would have left there, whatever was cached, shared or dropped meanwhile."""

from __future__ import annotations

import random

import pytest

from webllm_py.models.step import PAGE
from webllm_py.runtime.kv.pages import Sequence
from webllm_py.runtime.kv.sliding import SlidingPages

Entry = tuple[int, ...]


class Cache:
    """The table, and for each page the text up to each of its tokens, which is what keys and
    values depend on."""

    def __init__(self, kept: int, pages: int, at_once: int):
        self.table = SlidingPages(6 * pages, kept, pages * PAGE, at_once)
        self.table.grow_to(6 * pages)
        self.memory: dict[int, list[Entry]] = {}

    def read(self, sequence: Sequence, before: list[int], tokens: list[int]) -> None:
        """Read tokens behind those before, one by one, as the cache does with chunks and steps."""
        table = self.table
        for i, token in enumerate(tokens):
            if len(sequence.tokens) == table.positions:
                for place in table.shared_with_others(sequence, table.kept + table.at_once):
                    old, new = table.part(sequence, place)
                    self.memory[new] = [*self.memory[old]]
                table.drop(sequence, table.at_once)
            table.reserve(sequence, len(sequence.tokens) + 1)
            position = len(sequence.tokens)
            page = self.memory.setdefault(sequence.pages[position // PAGE], [()] * PAGE)
            page[position % PAGE] = (*before, *tokens[: i + 1])
            sequence.tokens.append(token)

    def check(self, sequence: Sequence, text: list[int]) -> None:
        """The sequence has just what reading the text would have left."""
        table, dropping = self.table, self.table.at_once * PAGE
        dropped = -(-max(0, len(text) - table.positions) // dropping) * dropping
        first = table.kept * PAGE
        places = [i for i in range(len(text)) if not first <= i < first + dropped]
        assert sequence.tokens == [text[i] for i in places] and sequence.read == len(text)
        for position, i in enumerate(places):
            entry = self.memory[sequence.pages[position // PAGE]][position % PAGE]
            assert entry == tuple(text[: i + 1])


@pytest.mark.parametrize("seed", range(12))
def test_random_conversations(seed: int) -> None:
    chance = random.Random(seed)
    kept = chance.choice([0, 1, 2])
    cache = Cache(kept, chance.choice([kept + 2, kept + 5]), chance.choice([1, 2]))
    table = cache.table
    letters = chance.choice([2, 9])  # texts of few repeat themselves

    def text(length: int) -> list[int]:
        return [chance.randrange(letters) for _ in range(length)]

    texts, hits = [text(200)], 0
    for _ in range(20):
        base = chance.choice(texts)
        prompt = base[: chance.randrange(len(base) // 2, len(base) + 1)] + text(
            1 + chance.randrange(30)
        )
        sequence = table.begin(prompt)
        known = prompt[: sequence.read]
        assert len(known) < len(prompt)
        cache.check(sequence, known)
        hits += len(known) > table.kept * PAGE
        cache.read(sequence, known, prompt[len(known) :])
        running = [(sequence, prompt)]
        if chance.random() < 0.3:
            fork = table.fork(sequence)
            fork.dropped[:] = sequence.dropped if fork.read < len(prompt) else fork.dropped
            missing = sequence.tokens[len(fork.tokens) :]
            table.reserve(fork, len(sequence.tokens))
            if missing:
                old, new = sequence.pages[len(sequence.tokens) // PAGE], fork.pages[-1]
                cache.memory[new] = [*cache.memory[old]]
            fork.tokens += missing
            running.append((fork, prompt))
        for one, begun in running:
            answer = text(chance.randrange(80))
            cache.read(one, begun, answer)
            cache.check(one, [*begun, *answer])
            texts.append([*begun, *answer])
            table.finish(one)
    assert hits, "the cache was never of use"
    table.clear()
    assert table.used == 0
