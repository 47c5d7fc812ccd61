"""``webllm-py bench``: how fast a model runs here."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from webllm_py.bench import BenchOptions, run, table
from webllm_py.cli.opening import open_engine
from webllm_py.cli.progress import ProgressLine
from webllm_py.errors import RequestError
from webllm_py.fetch.store.texts import user_cache_folder
from webllm_py.random_models.gguf import write_random_model
from webllm_py.random_models.shapes import SHAPES

__all__ = ["bench", "bench_options", "model_of"]


def bench(options: Namespace) -> int:
    """Run the command."""
    wanted = bench_options(options)
    source = model_of(options)
    results = asyncio.run(measure(options, wanted, source))
    print(json.dumps(results, indent=2) if options.json else table(results))
    return 0


def bench_options(options: Namespace) -> BenchOptions:
    """What to measure.

    Raises:
        RequestError: numbers that make no measurement.
    """
    try:
        return BenchOptions(
            options.prompt_tokens,
            options.contexts,
            options.tokens,
            options.runs,
            options.history,
            options.together,
            profile=options.profile,
        )
    except ValueError as error:
        raise RequestError(str(error)) from None


def model_of(options: Namespace) -> str | Path | None:
    """The model to measure: the one given, a random one of the shape (made if it is not there
    yet), or None for the pocket model.

    Raises:
        RequestError: options that contradict each other, or a file that cannot be written.
    """
    if options.shape is None:
        if options.format or options.keep:
            raise RequestError("--format and --keep are for random weights: give a --shape")
        return str(options.source) if options.source else None
    if options.source:
        raise RequestError("give either a SOURCE or a --shape")
    format = options.format or "q4_0"
    name = f"{options.shape}-{format}"
    path = Path(options.keep) if options.keep else user_cache_folder() / "bench" / f"{name}.gguf"
    if not path.exists():
        progress = ProgressLine(sys.stderr)
        progress.say(f"Making random weights: {path} ...")
        try:
            write_random_model(path, f"{name}, random", SHAPES[options.shape], format)
        except OSError as error:
            raise RequestError(f"the random model cannot be written: {error}") from error
        finally:
            progress.clear()
    return path


async def measure(
    options: Namespace, wanted: BenchOptions, source: str | Path | None
) -> dict[str, Any]:
    """Load and measure."""
    # A cache that is no larger than needed: finished requests are forgotten as in long use.
    options.context = options.context or wanted.longest
    progress = ProgressLine(sys.stderr)
    start = time.perf_counter()
    async with open_engine(options, source) as engine:
        load_seconds = time.perf_counter() - start
        try:
            return await run(
                engine,
                wanted,
                load_seconds=load_seconds,
                on_step=lambda step: progress.say(f"Measuring {step} ..."),
            )
        finally:
            progress.clear()
