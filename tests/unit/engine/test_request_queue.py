"""The queue of requests: order, leaving from anywhere in it, errors for those who wait."""

from __future__ import annotations

import asyncio
import random

import pytest

from webllm_py.engine.request_queue import RequestQueue


async def visit(queue: RequestQueue, log: list[int], number: int, rounds: int = 2) -> None:
    async with queue.join():
        log.append(number)
        for _ in range(rounds):
            await asyncio.sleep(0)
            assert log[-1] == number, "two had the turn at once"


async def test_the_order_of_joining_counts_not_that_of_entering() -> None:
    queue = RequestQueue()
    turns = [queue.join() for _ in range(4)]
    log: list[int] = []

    async def enter(number: int) -> None:
        async with turns[number]:
            log.append(number)

    await asyncio.gather(*(enter(number) for number in (2, 0, 3, 1)))
    assert log == [0, 1, 2, 3]
    assert queue.waiting == queue.entered == 0


async def test_an_empty_queue_does_not_wait() -> None:
    queue = RequestQueue()
    async with queue.join():
        assert queue.entered == 1
    assert queue.waiting == queue.entered == 0


async def test_a_turn_that_is_never_entered_can_be_left() -> None:
    queue = RequestQueue()
    first, second, third = queue.join(), queue.join(), queue.join()
    second.leave()
    first.leave()
    first.leave()
    async with asyncio.timeout(30), third:
        pass
    assert queue.waiting == queue.entered == 0


async def test_an_error_inside_gives_the_turn_back() -> None:
    queue = RequestQueue()
    with pytest.raises(ZeroDivisionError):
        async with queue.join():
            raise ZeroDivisionError
    assert queue.waiting == queue.entered == 0


async def test_those_who_wait_are_sent_away() -> None:
    queue = RequestQueue()
    log: list[int] = []
    async with queue.join():
        waiting = [asyncio.create_task(visit(queue, log, number)) for number in range(3)]
        await asyncio.sleep(0)
        never_entered = queue.join()
        queue.reject_waiting(KeyError("closed"))
        later = asyncio.create_task(visit(queue, log, 7))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [KeyError] * 3
        assert log == []
    never_entered.leave()
    await later
    assert log == [7]
    assert queue.waiting == queue.entered == 0


async def test_whose_turn_has_come_but_who_has_not_entered_is_sent_away_too() -> None:
    queue = RequestQueue()
    first, stays = queue.join(), queue.join(stays=True)
    queue.reject_waiting(KeyError("closed"))
    with pytest.raises(KeyError, match="closed"):
        await first.__aenter__()
    async with stays:
        pass
    assert queue.waiting == queue.entered == 0


async def test_the_first_is_interrupted() -> None:
    queue = RequestQueue()
    queue.interrupt()
    first, second = queue.join(), queue.join()
    queue.interrupt()
    assert (first.interrupted, second.interrupted) == (True, False)
    async with first as turn:
        assert turn is first
    queue.interrupt()
    assert second.interrupted
    second.leave()


@pytest.mark.parametrize("seed", range(30))
async def test_random_cancellation(seed: int) -> None:
    """Whoever is cancelled, the others come in order, one at a time, and all of them."""
    chance = random.Random(seed)
    queue = RequestQueue()
    log: list[int] = []
    tasks = [
        asyncio.create_task(visit(queue, log, number, chance.randrange(4))) for number in range(12)
    ]
    for task in chance.sample(tasks, 5):
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        task.cancel()
    async with asyncio.timeout(30):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert log == sorted(log)
    survivors = {number for number, task in enumerate(tasks) if not task.cancelled()}
    assert survivors <= set(log)
    assert len(survivors) >= 7
    assert queue.waiting == queue.entered == 0
