"""The page table against a naive model: who holds which page, and what is in it."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from webllm_py.models.step import PAGE
from webllm_py.runtime.kv.pages import PageTable, Sequence, common_prefix


class Cache:
    """A page table together with what the GPU would hold: for each page, the tokens up to there.

    An entry is the whole text up to and including its position, which is what keys and values
    depend on. Writing to a page that somebody else reads shows as a wrong entry there.
    """

    def __init__(self, max_pages: int, capacity: int):
        self.table = PageTable(max_pages)
        self.table.grow_to(capacity)
        self.memory: dict[int, list[tuple[int, ...] | None]] = {}

    def begin(self, prompt: list[int]) -> Sequence:
        sequence = self.table.begin(prompt)
        assert sequence.tokens == prompt[: len(sequence.tokens)], "cached tokens of another text"
        assert len(sequence.tokens) < len(prompt), "the last token must be computed"
        self.check(sequence)
        return sequence

    def append(self, sequence: Sequence, tokens: list[int], reserve_ahead: int = 0) -> None:
        length = len(sequence.tokens) + len(tokens)
        if self.table.missing(sequence, length + reserve_ahead):
            self.table.grow_to(
                min(
                    self.table.max_pages,
                    self.table.capacity + self.table.missing(sequence, length + reserve_ahead),
                )
            )
        before = len(sequence.pages)
        added = self.table.reserve(sequence, length + reserve_ahead)
        assert [logical for logical, _ in added] == [*range(before, len(sequence.pages))]
        assert [page for _, page in added] == sequence.pages[before:]
        for token in tokens:
            sequence.tokens.append(token)
            position = len(sequence.tokens) - 1
            page = self.memory.setdefault(sequence.pages[position // PAGE], [None] * PAGE)
            page[position % PAGE] = tuple(sequence.tokens)

    def check(self, sequence: Sequence) -> None:
        """The sequence's pages hold its text."""
        for position in range(len(sequence.tokens)):
            entry = self.memory[sequence.pages[position // PAGE]][position % PAGE]
            assert entry == tuple(sequence.tokens[: position + 1]), "overwritten by somebody else"

    def check_all(self, *active: Sequence) -> None:
        """Counts of users, free pages and the pool fit together, and every text is intact."""
        table = self.table
        holders = Counter(page for s in (*table._finished, *active) for page in s.pages)
        assert holders == Counter(table._users)
        assert len(table._free) == len(set(table._free))
        assert sorted([*table._free, *holders]) == [*range(table.capacity)], "a page is lost"
        assert table.used == len(holders)
        assert table.capacity <= table.max_pages
        for sequence in (*table._finished, *active):
            assert len(set(sequence.pages)) == len(sequence.pages)
            self.check(sequence)


def text(seed: int, length: int) -> list[int]:
    chance = random.Random(seed)
    return [chance.randrange(1000) for _ in range(length)]


@pytest.mark.parametrize("seed", range(60))
def test_random_conversations(seed: int) -> None:
    """Prompts that begin alike, go on from answers, are cut off, released, or fill the pool."""
    chance = random.Random(seed)
    cache = Cache(max_pages=chance.choice([4, 6, 12]), capacity=chance.choice([0, 1, 4]))
    room = cache.table.max_pages * PAGE
    texts = [text(number, chance.randrange(1, room // 2)) for number in range(3)]
    hits = 0
    for _ in range(40):
        base = chance.choice(texts)
        prompt = base[: chance.randrange(1, len(base) + 1)]
        prompt += text(chance.randrange(5), chance.randrange(0, 20))
        prompt = prompt[: room - 1]
        sequence = cache.begin(prompt)
        hits += bool(sequence.tokens)
        rest = prompt[len(sequence.tokens) :]
        while rest:
            count = chance.randrange(1, 70)
            cache.append(sequence, rest[:count])
            rest = rest[count:]
        for _ in range(chance.randrange(4)):
            count = min(chance.randrange(1, 20), room - len(sequence.tokens))
            ahead = min(chance.randrange(8), room - len(sequence.tokens) - count)
            cache.append(sequence, text(chance.randrange(9), count), ahead)
        cache.check_all(sequence)
        match chance.randrange(6):
            case 0:
                cache.table.release(sequence)
                assert (sequence.tokens, sequence.pages) == ([], [])
            case 1:
                cache.table.truncate(sequence, chance.randrange(len(sequence.tokens) + 1))
                cache.table.finish(sequence)
            case _:
                cache.table.finish(sequence)
                if chance.random() < 0.3:
                    texts.append(list(sequence.tokens))
        cache.check_all()
    assert hits > 5 or cache.table.max_pages < 12, "the cache was never of use"
    cache.table.clear()
    cache.check_all()
    assert cache.table.used == 0


@pytest.mark.parametrize("seed", range(20))
def test_answers_that_share_a_prompt(seed: int) -> None:
    """Forks of random prompts that grow, end and are gone on from in any order."""
    chance = random.Random(seed)
    cache = Cache(max_pages=40, capacity=0)
    prompts = [text(number, chance.randrange(1, 4 * PAGE)) for number in range(2)]
    for _ in range(20):
        prompt = chance.choice(prompts)
        first = cache.begin(prompt)
        cache.append(first, prompt[len(first.tokens) :])
        running = [first]
        for _ in range(chance.randrange(4)):
            fork = cache.table.fork(first)
            assert len(fork.tokens) == len(prompt) // PAGE * PAGE
            assert fork.pages == first.pages[: len(fork.pages)]
            cache.append(fork, prompt[len(fork.tokens) :])
            running.append(fork)
        assert cache.table.running == len({page for s in running for page in s.pages})
        while running:
            sequence = chance.choice(running)
            cache.append(sequence, text(chance.randrange(99), chance.randrange(1, 40)))
            cache.check_all(*running)
            if chance.random() < 0.5:
                running.remove(sequence)
                cache.table.finish(sequence)
                if chance.random() < 0.3:
                    prompts.append([*sequence.tokens[: 5 * PAGE], 7])
        assert cache.table.running == 0
        cache.check_all()


def finished(cache: Cache, tokens: list[int]) -> Sequence:
    sequence = cache.begin([*tokens, -1])
    cache.append(sequence, tokens[len(sequence.tokens) :])
    cache.table.finish(sequence)
    return sequence


def test_nothing_is_cached_at_first() -> None:
    cache = Cache(4, 4)
    assert cache.begin([1, 2, 3]).tokens == []


@pytest.mark.parametrize("extra", [0, 1, PAGE - 1, PAGE, PAGE + 1])
def test_a_longer_prompt_takes_the_sequence_over(extra: int) -> None:
    cache = Cache(8, 8)
    first = finished(cache, text(1, PAGE + extra))
    second = cache.begin([*text(1, PAGE + extra), 5, 6])
    assert second is first
    assert len(second.tokens) == PAGE + extra
    assert cache.table._finished == []


def test_the_same_prompt_computes_its_last_token_again() -> None:
    cache = Cache(8, 8)
    tokens = text(1, 2 * PAGE)
    finished(cache, tokens)
    again = cache.begin(tokens)
    assert len(again.tokens) == 2 * PAGE - 1
    cache.append(again, tokens[-1:])
    cache.check_all(again)


def test_a_long_text_stays_when_a_short_part_of_it_is_asked_for() -> None:
    """Whole pages are shared, the rest is computed again."""
    cache = Cache(8, 8)
    tokens = text(1, 5 * PAGE)
    long = finished(cache, tokens)
    short = cache.begin([*tokens[: PAGE + 7], 9, 9])
    assert short.tokens == tokens[:PAGE]
    assert short.pages == long.pages[:1]
    cache.append(short, [*tokens[PAGE : PAGE + 7], 9, 9])
    cache.check_all(short)
    cache.table.finish(short)
    assert len(cache.begin([*tokens, 1]).tokens) == 5 * PAGE


def test_a_shared_page_is_not_written_by_the_one_that_goes_on() -> None:
    """Two texts share a page; one of them is cut back into it and goes on elsewhere."""
    cache = Cache(8, 8)
    common = text(1, PAGE)
    a = finished(cache, [*common, *text(2, 3 * PAGE)])
    b = cache.begin([*common, 7])
    assert b.pages[0] == a.pages[0]
    cache.append(b, [7, 8])
    cache.table.finish(b)
    # Most of b is kept, but its cut lies within the page that a reads.
    c = cache.begin([*common[:20], 3, 3])
    cache.append(c, [*common[len(c.tokens) : 20], 3, 3][: 22 - len(c.tokens)])
    cache.check_all(c)


def test_the_oldest_makes_room() -> None:
    cache = Cache(4, 4)
    old, new = text(1, 2 * PAGE), text(2, PAGE)
    finished(cache, old)
    finished(cache, new)
    third = cache.begin(text(3, 2 * PAGE))
    cache.append(third, text(3, 2 * PAGE))
    cache.table.finish(third)
    cache.check_all()
    assert len(cache.begin([*new, 1]).tokens) == PAGE
    assert cache.table.begin([*old, 1]).tokens == []


def test_an_exhausted_pool() -> None:
    cache = Cache(2, 2)
    sequence = cache.begin([1])
    with pytest.raises(MemoryError):
        cache.table.reserve(sequence, 2 * PAGE + 1)
    cache.check_all(sequence)
    cache.table.release(sequence)
    cache.check_all()


def test_missing_counts_free_pages_only() -> None:
    cache = Cache(10, 3)
    finished(cache, text(1, PAGE))
    sequence = cache.begin([5])
    assert cache.table.missing(sequence, PAGE) == 0
    assert cache.table.missing(sequence, 2 * PAGE) == 0
    assert cache.table.missing(sequence, 2 * PAGE + 1) == 1
    assert cache.table.missing(sequence, 5 * PAGE) == 3


@pytest.mark.parametrize("length", [0, 1, 2, 7, 1000])
def test_common_prefix(length: int) -> None:
    same = text(1, length)
    assert common_prefix(same, [*same]) == length
    assert common_prefix([*same, 1], [*same, 2]) == length
    assert common_prefix([*same, 1, 5], [*same, 2, 5]) == length
    assert common_prefix(same, [*same, 2]) == length
    assert common_prefix([-1, *same], same) == 0
