"""How long a decode step of several answers takes, in floats and in 8 bits, with several shapes of
its GEMVs.

    python tests/bench/few_rows_times.py --shape llama-3.1-8b
    python tests/bench/few_rows_times.py --shape qwen2.5-0.5b --rows 2 4 8 --busy 15 16 17 --profile

``--lanes``, ``--threads`` and ``--busy`` are values of ``Tuning.rows_lanes`` and ``rows_threads``,
and the binary logarithm of ``rows_busy``: each is tried beside the defaults. ``--profile`` adds the
times of every kernel with these.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

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
from webllm_py.models.tuning import Tuning, rounds  # noqa: E402
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


def variants(arguments: argparse.Namespace, tuning: Tuning) -> Iterator[tuple[str, Tuning]]:
    """A tuning's, each with one number changed."""
    yield "defaults", tuning
    for lanes in arguments.lanes:
        yield f"rows_lanes {lanes}", replace(tuning, rows_lanes=lanes)
    for threads in arguments.threads:
        yield f"rows_threads {threads}", replace(tuning, rows_threads=threads)
    for busy in arguments.busy:
        yield f"rows_busy 2^{busy}", replace(tuning, rows_busy=1 << busy)


async def measure(arguments: argparse.Namespace, folder: Path) -> None:
    file = folder / f"{arguments.shape}.gguf"
    write_random_model(file, arguments.shape, SHAPES[arguments.shape], arguments.format)
    options = BenchOptions(tokens=TOKENS, runs=arguments.runs)
    async with await webllm_py.load(file, context_length=1024, tune=False) as engine:
        measured, executor = Requests(engine, options), engine.loaded.executor
        bandwidth = (await measure_bandwidth(executor.device))["bytes_per_s"]
        print(f"{arguments.shape}, {engine.info['adapter']}: ms of a step (of them, in GEMVs)")
        floats, rounding = executor.tuning, all_rounding(executor)
        for kind, tuning in (("floats", floats), ("8 bits", rounding)):
            for name, variant in variants(arguments, tuning):
                await executor.retune(variant)
                cells = []
                for rows in arguments.rows:
                    prompt = measured.prompt(CONTEXT)
                    await measured.request(prompt, 1, GREEDY)
                    found = await profile_together(
                        executor, prompt, rows, TOKENS, measured.repeated, bandwidth
                    )
                    gemvs = sum(
                        row["gpu_s"] for row in found["kernels"] if row["kernel"].startswith("gemv")
                    )
                    cells.append(f"{rows}: {found['wall_s'] * 1e3:.2f} ({gemvs * 1e3:.2f})")
                    if arguments.profile and name == "defaults":
                        print("\n".join(("", f"{kind}:", *profile_lines(found), "")))
                print(f"{kind}, {name:<18}", *cells, sep="  ", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, default="qwen2.5-0.5b")
    parser.add_argument("--format", default="q4_0")
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--lanes", type=int, nargs="*", default=[8, 16])
    parser.add_argument("--threads", type=int, nargs="*", default=[32])
    parser.add_argument("--busy", type=int, nargs="*", default=[14, 16, 17])
    parser.add_argument("--profile", action="store_true")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(parser.parse_args(), Path(folder)))


if __name__ == "__main__":
    main()
