"""The Python half of the bench page's worker: loads a model and measures it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import webllm_py
from webllm_py.bench import BenchOptions, run, table
from webllm_py.gpu import open_device
from webllm_py.runtime.generation.generate import GenerationStats, generate
from webllm_py.runtime.sampling.settings import SamplingSettings


async def bench(
    model: str | None,
    bench_options: str,
    load_options: str,
    to_check: str,
    step: Callable[[str], Any],
) -> str:
    """Measure a model; JSON of the results, their table, the seconds to open the GPU, and what is
    to be compared with another engine."""
    options = BenchOptions(**json.loads(bench_options))
    load = json.loads(load_options)
    switches = {
        name: load.pop(name) for name in ("f16", "subgroups", "power_preference") if name in load
    }
    watched = load.pop("host_profile", False)
    step("opening the GPU")
    start = time.perf_counter()
    device = await open_device(**switches)
    gpu_seconds = time.perf_counter() - start
    step("loading the model")
    check = json.loads(to_check)
    longest = len(check["prompts"][-1]) + check["tokens"] if check else 0
    load.setdefault("context_length", max(options.longest, longest))
    # Nobody wants to keep random weights.
    load.setdefault("fetch", webllm_py.FetchOptions(keep=False))
    start = time.perf_counter()
    async with await webllm_py.load(model, device=device, **load) as engine:
        seconds = time.perf_counter() - start
        results = await run(engine, options, load_seconds=seconds, on_step=step)
        answer = check and await answered(engine, **check)
        shown = table(results)
        if watched:  # worker.mjs has run host_profile.py
            step("the host's work")
            profile = globals()["host_profile"]
            parts, text = await profile(engine, min(options.contexts), options.tokens)
            results["host_profile"] = parts
            shown += f"\n\n{text}"
    device.close()
    report = {"results": results, "table": shown, "gpu_s": gpu_seconds}
    return json.dumps(report | {"check": answer})


async def answered(engine: Any, prompts: list[list[int]], tokens: int) -> dict[str, Any]:
    """The logits after each prompt, and the tokens of a greedy answer to the first one."""
    rows = [[*last_row(await engine.logits(prompt))] for prompt in prompts]
    found: list[int] = []
    pieces = generate(
        engine.loaded.executor,
        prompts[0],
        [SamplingSettings(temperature=0)],
        max_tokens=tokens,
        stats=[GenerationStats()],
        guess=False,
    )
    async for _, drawn in pieces:
        found += drawn
    return {"logits": rows, "tokens": found}


def last_row(logits: Any) -> Any:
    """Of a matrix, numpy's or a memoryview."""
    rows, columns = logits.shape
    return memoryview(logits).cast("B").cast("f")[(rows - 1) * columns :]
