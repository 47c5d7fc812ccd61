"""How long a decode step of several answers takes, in floats and in 8 bits, with several shapes of
the GEMVs in 8 bits.

    python tests/bench/few_rows_times.py --shape llama-3.1-8b
    python tests/bench/few_rows_times.py --shape qwen2.5-0.5b --shapes 32,64,16 64,128,17

``--shapes`` are ``RowsShape``s to be tried: most lanes, threads of a workgroup, and the binary
logarithm of how many threads keep the GPU busy. ``--profile`` adds the times of every kernel.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import webllm_py  # noqa: E402
from webllm_py.bench.bandwidth import measure_bandwidth  # noqa: E402
from webllm_py.bench.core import GREEDY  # noqa: E402
from webllm_py.bench.options import BenchOptions  # noqa: E402
from webllm_py.bench.profile import profile_together  # noqa: E402
from webllm_py.bench.profile_table import profile_lines  # noqa: E402
from webllm_py.bench.requests import Requests  # noqa: E402
from webllm_py.models.tuning import Tuning  # noqa: E402
from webllm_py.models.workgroup_shapes import RowsShape, rounds  # noqa: E402
from webllm_py.random_models.gguf import write_random_model  # noqa: E402
from webllm_py.random_models.shapes import SHAPES  # noqa: E402
from webllm_py.runtime.executor import Executor  # noqa: E402
from webllm_py.runtime.tuning.problems import problems_of  # noqa: E402

CONTEXT, TOKENS = 128, 128


def all_rounding(executor: Executor) -> Tuning:
    """Every matrix that can be multiplied in 8 bits is."""
    chosen = {}
    for problem in problems_of(executor, rounding=True):
        rounding = [shape for shape in problem.shapes if rounds(problem.name, shape)]
        if rounding:
            chosen[problem.name] = rounding[0]
    return replace(executor.tuning, chosen=chosen)


def variants(shapes: list[tuple[int, ...]], tuning: Tuning) -> Iterator[tuple[str, Tuning]]:
    """A tuning, and it with other shapes."""
    yield "8 bits", tuning
    for lanes, threads, busy in shapes:
        shape = RowsShape(lanes, threads, 1 << busy)
        yield f"8 bits {lanes},{threads},2^{busy}", replace(tuning, rounded_rows_shape=shape)


def gemv_lines(rows: list[dict[str, Any]]) -> str:
    """Microseconds of each matrix's GEMVs, one by one."""
    return "  ".join(
        f"{row['matrix']} {row['gpu_s'] / row['count'] * 1e6:.0f}"
        for row in rows
        if row["kernel"].startswith("gemv")
    )


async def measure(arguments: argparse.Namespace, folder: Path) -> None:
    file = folder / f"{arguments.shape}.gguf"
    write_random_model(file, arguments.shape, SHAPES[arguments.shape], arguments.format)
    options = BenchOptions(tokens=TOKENS, runs=arguments.runs)
    async with await webllm_py.load(file, context_length=1024, tune=False) as engine:
        measured, executor = Requests(engine, options), engine.loaded.executor
        bandwidth = (await measure_bandwidth(executor.device))["bytes_per_s"]
        print(f"{arguments.shape}, {engine.info['adapter']}: ms of a step, us of each GEMV alone")
        floats, rounding = executor.tuning, all_rounding(executor)
        tried = [("floats", floats)]
        tried += [
            (f"8 bits, {name}", tuning) for name, tuning in variants(arguments.shapes, rounding)
        ]
        for name, tuning in tried:
            await executor.retune(tuning)
            for rows in arguments.rows:
                prompt = measured.prompt(CONTEXT)
                await measured.request(prompt, 1, GREEDY)
                found = await profile_together(
                    executor, prompt, rows, TOKENS, measured.repeated, bandwidth
                )
                gemvs = gemv_lines(found["kernels"])
                print(f"{name:<20} {rows}: {found['wall_s'] * 1e3:.2f}  {gemvs}", flush=True)
                if arguments.profile:
                    print("\n".join(("", *profile_lines(found), "")))


def numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="qwen2.5-0.5b")
    parser.add_argument("--format", default="q4_0")
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shapes", type=numbers, nargs="*", default=[])
    parser.add_argument("--profile", action="store_true")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(parser.parse_args(), Path(folder)))


if __name__ == "__main__":
    main()
