"""The Python half of the bench page's worker: loads a model and measures it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import webllm_py
from webllm_py.bench import BenchOptions, run, table
from webllm_py.gpu import open_device


async def bench(
    model: str | None, bench_options: str, load_options: str, step: Callable[[str], Any]
) -> str:
    """Measure a model; JSON of the results, their table, and the seconds to open the GPU."""
    options = BenchOptions(**json.loads(bench_options))
    load = json.loads(load_options)
    switches = {
        name: load.pop(name) for name in ("f16", "subgroups", "power_preference") if name in load
    }
    step("opening the GPU")
    start = time.perf_counter()
    device = await open_device(**switches)
    gpu_seconds = time.perf_counter() - start
    step("loading the model")
    load.setdefault("context_length", options.longest)
    # Nobody wants to keep random weights.
    load.setdefault("fetch", webllm_py.FetchOptions(keep=False))
    start = time.perf_counter()
    async with await webllm_py.load(model, device=device, **load) as engine:
        seconds = time.perf_counter() - start
        results = await run(engine, options, load_seconds=seconds, on_step=step)
    device.close()
    return json.dumps({"results": results, "table": table(results), "gpu_s": gpu_seconds})
