"""The line of requests: order, leaving from any place, errors for those who wait."""

from __future__ import annotations

import asyncio
import random

import pytest

from webllm_py.engine.turns import Line


async def visit(line: Line, log: list[int], number: int, rounds: int = 2) -> None:
    async with line.join():
        log.append(number)
        for _ in range(rounds):
            await asyncio.sleep(0)
            assert log[-1] == number, "two had the turn at once"


async def test_the_order_of_joining_counts_not_that_of_entering() -> None:
    line = Line()
    places = [line.join() for _ in range(4)]
    log: list[int] = []

    async def enter(number: int) -> None:
        async with places[number]:
            log.append(number)

    await asyncio.gather(*(enter(number) for number in (2, 0, 3, 1)))
    assert log == [0, 1, 2, 3]
    assert not line.busy


async def test_an_empty_line_does_not_wait() -> None:
    line = Line()
    async with line.join():
        assert line.busy
    assert not line.busy


async def test_a_place_that_is_never_entered_can_be_left() -> None:
    line = Line()
    first, second, third = line.join(), line.join(), line.join()
    second.leave()
    first.leave()
    first.leave()
    async with asyncio.timeout(1), third:
        pass
    assert not line.busy


async def test_an_error_inside_gives_the_turn_back() -> None:
    line = Line()
    with pytest.raises(ZeroDivisionError):
        async with line.join():
            raise ZeroDivisionError
    assert not line.busy


async def test_those_who_wait_are_sent_away() -> None:
    line = Line()
    log: list[int] = []
    async with line.join():
        waiting = [asyncio.create_task(visit(line, log, number)) for number in range(3)]
        await asyncio.sleep(0)
        never_entered = line.join()
        line.send_away(KeyError("closed"))
        later = asyncio.create_task(visit(line, log, 7))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [KeyError] * 3
        assert log == []
    never_entered.leave()
    await later
    assert log == [7]
    assert not line.busy


async def test_whose_turn_has_come_but_who_has_not_entered_is_sent_away_too() -> None:
    line = Line()
    first, stays = line.join(), line.join(stays=True)
    line.send_away(KeyError("closed"))
    with pytest.raises(KeyError, match="closed"):
        await first.__aenter__()
    async with stays:
        pass
    assert not line.busy


async def test_the_first_is_interrupted() -> None:
    line = Line()
    line.interrupt()
    first, second = line.join(), line.join()
    line.interrupt()
    assert (first.interrupted, second.interrupted) == (True, False)
    async with first as place:
        assert place is first
    line.interrupt()
    assert second.interrupted
    second.leave()


@pytest.mark.parametrize("seed", range(30))
async def test_random_cancellation(seed: int) -> None:
    """Whoever is cancelled, the others come in order, one at a time, and all of them."""
    chance = random.Random(seed)
    line = Line()
    log: list[int] = []
    tasks = [
        asyncio.create_task(visit(line, log, number, chance.randrange(4))) for number in range(12)
    ]
    for task in chance.sample(tasks, 5):
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        task.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert log == sorted(log)
    survivors = {number for number, task in enumerate(tasks) if not task.cancelled()}
    assert survivors <= set(log)
    assert len(survivors) >= 7
    assert not line.busy
