"""Futures that wake those who wait for them in few turns of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from webllm_py.waking import WakingFuture


def future() -> WakingFuture[int]:
    return WakingFuture(asyncio.get_running_loop())


async def waiting(future: WakingFuture[int], then: Callable[[int], object]) -> None:
    then(await future)


async def started(*waits: object) -> list[asyncio.Task[None]]:
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    await asyncio.sleep(0)
    return tasks


async def test_who_waits_behind_who_waits_is_woken_in_the_same_turn() -> None:
    first, second, seen = future(), future(), list[object]()
    tasks = await started(waiting(first, second.set_result), waiting(second, seen.append))
    asyncio.get_running_loop().call_soon(lambda: first.set_result(5))
    asyncio.get_running_loop().call_soon(seen.append, "before the turn that wakes")
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(seen.append, "in a turn of its own")
    await asyncio.gather(*tasks)
    assert seen == ["before the turn that wakes", 5, "in a turn of its own"]


async def test_the_loop_has_a_turn_between_two_who_wait_for_the_same() -> None:
    one, seen = future(), list[object]()
    tasks = await started(*(waiting(one, seen.append) for _ in range(2)))
    one.set_result(1)
    await asyncio.sleep(0)
    assert seen == [1]
    await asyncio.gather(*tasks)
    assert seen == [1, 1]


async def test_it_is_awaited_as_any_future_is() -> None:
    done, wrong, late = future(), future(), future()
    tasks = [asyncio.ensure_future(asyncio.wait_for(one, 5)) for one in (done, wrong, late)]
    done.set_result(1)
    wrong.set_exception(ValueError("wrong"))
    await asyncio.sleep(0)
    late.set_result(2)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [found[0], str(found[1]), found[2]] == [1, "wrong", 2]
    assert await asyncio.gather(done, late) == [1, 2]
    assert await done == 1  # again, and at once


@pytest.mark.parametrize("woken", [False, True])
async def test_who_waits_can_be_cancelled(woken: bool) -> None:
    one = future()
    (task,) = await started(waiting(one, print))
    if woken:
        one.set_result(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert one.cancelled() != woken


async def test_a_callback_that_was_removed_is_not_called() -> None:
    one, seen = future(), list[object]()
    one.add_done_callback(seen.append)
    kept = seen.__len__
    one.add_done_callback(lambda _: kept())
    assert one.remove_done_callback(seen.append) == 1
    one.set_result(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == []


async def test_what_a_callback_raises_the_loop_is_told() -> None:
    one, told = future(), list[object]()
    one.add_done_callback(lambda _: 1 / 0)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    one.set_result(1)
    await asyncio.sleep(0)
    assert [type(error) for error in told] == [ZeroDivisionError]
