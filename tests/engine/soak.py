"""Many requests and many loads, and what memory they leave: natively, and as text in Pyodide."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable
from typing import Any

import webllm_py
from webllm_py.gpu import open_device

__all__ = ["many_loads", "many_requests"]

Sample = dict[str, float]

# What a test double of a client asks for in turn; {i} is the number of the request.
KINDS: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 0.8, "seed": 5, "stop": ["e"]},
    {"stream": True},
    {"stream": True, "abandoned": True},
    {"logprobs": True, "top_logprobs": 2},
    {"n": 3, "temperature": 1.0},
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"const": 0}},
        }
    },
    {"temperature": "hot"},  # refused
]


def sample(device: Any, process_bytes: Callable[[], float]) -> Sample:
    """What is in use now, once nothing waits to be collected."""
    gc.collect()
    return {
        "buffers": device.n_buffers,
        "gpu": device.allocated,
        "blocks": sys.getallocatedblocks(),
        "process": process_bytes(),
    }


async def many_requests(
    source: Any, count: int, process_bytes: Callable[[], float], every: int
) -> list[Sample]:
    """Memory after each ``every`` requests to one engine."""
    device = await open_device()
    found = []
    async with await webllm_py.load(
        source, device=device, context_length=256, tune=False
    ) as engine:
        for number in range(1, count + 1):
            await one_request(engine, number)
            if number % every == 0:
                found.append(sample(device, process_bytes))
    assert (device.n_buffers, device.allocated) == (0, 0)
    device.close()
    return found


async def one_request(engine: Any, number: int) -> None:
    fields = dict(KINDS[number % len(KINDS)])
    abandoned = fields.pop("abandoned", False)
    if "response_format" in fields:  # another schema each time, as a server's clients have them
        schema = {"name": "n", "schema": {"const": number}}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    messages = [{"role": "user", "content": f"Number {number}: say something."}]
    with contextlib.suppress(webllm_py.RequestError):
        reply = await engine.chat.completions.create(messages=messages, max_tokens=3, **fields)
        if not fields.get("stream"):
            return
        async for _ in reply:
            if abandoned:
                break
        await reply.aclose()


async def many_loads(source: Any, count: int, process_bytes: Callable[[], float]) -> list[Sample]:
    """Memory after each load, answer and unload, on one device and on devices of their own."""
    device = await open_device()
    found = []
    for number in range(count):
        own = number % 2 == 1
        engine = await webllm_py.load(
            source, device=None if own else device, context_length=256, tune=False
        )
        used = engine.loaded.owner.device
        await one_request(engine, 0)
        await engine.unload()
        assert (used.n_buffers, used.allocated) == (0, 0)
        del engine, used
        found.append(sample(device, process_bytes))
    device.close()
    return found
