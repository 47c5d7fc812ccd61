"""The queue behind a streamed answer."""

from __future__ import annotations

import asyncio

from webllm_py.streaming import Queue


async def test_items_come_in_order_whether_waited_for_or_not() -> None:
    queue = Queue()
    queue.put(1)
    assert await queue.get() == 1
    getting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.put(2)
    queue.put(3)
    assert [await getting, await queue.get()] == [2, 3]


async def test_each_of_several_that_wait_gets_one() -> None:
    queue = Queue()
    getting = [asyncio.ensure_future(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for item in "abc":
        queue.put(item)
    assert await asyncio.gather(*getting) == ["a", "b", "c"]


async def test_what_one_gives_up_goes_to_the_next() -> None:
    queue = Queue()
    first, second = (asyncio.ensure_future(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    queue.put("item")
    first.cancel()  # it was woken, and has not run yet
    async with asyncio.timeout(5):
        assert await second == "item"
    assert first.cancelled()


async def test_one_that_gave_up_is_passed_over() -> None:
    queue = Queue()
    first, second = (asyncio.ensure_future(queue.get()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    queue.put("item")
    async with asyncio.timeout(5):
        assert await second == "item"
