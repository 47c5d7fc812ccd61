"""The main work of a load: weights are brought to the GPU while kernels are compiled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from webllm_py.checkpoint import Checkpoint
from webllm_py.concurrency import run_all
from webllm_py.loading.texts import tokenizer_of
from webllm_py.runtime.weights.loader import Loader
from webllm_py.runtime.weights.progress import ProgressReporter
from webllm_py.tokenizer import Tokenizer

__all__ = ["load_weights"]


async def load_weights(
    loader: Loader,
    checkpoint: Checkpoint,
    vocab_size: int,
    report: ProgressReporter,
    prepare: Callable[[Callable[[], None]], Awaitable[None]],
) -> Tokenizer:
    """Weights to the GPU, and once more where a file's bytes changed; meanwhile kernels are
    compiled, and the tokenizer is read.

    Args:
        prepare: compiles the model's kernels; to call what it is given once they are asked for.

    Raises:
        CorruptCheckpointError: a file is damaged; the tokenizer is not of this model.
        SourceError: the bytes cannot be had.
    """
    times = report.times
    read: list[Tokenizer] = []
    asked = asyncio.Event()

    def all_asked() -> None:
        if not asked.is_set():
            times.end("asked")
            asked.set()

    async def read_tokenizer() -> None:
        await asked.wait()  # this takes Python's time, and kernels compile without it
        report.stage("tokenizer", "Reading the tokenizer")
        with times.measure("tokenizer"):
            read.append(tokenizer_of(checkpoint, vocab_size))
        report.stage("weights", "Loading the weights", total=loader.nbytes)

    async def place() -> None:
        with times.measure("weights"):
            await loader.run(read_tokenizer)
            if await checkpoint.verify():
                report.again()
                await loader.run()  # from the store
        report.stage("kernels", "Compiling the kernels")

    async def compile_kernels() -> None:
        try:
            with times.measure("kernels"):
                await prepare(all_asked)
        finally:
            all_asked()

    # In this order: the kernels that place the first bytes are needed first.
    await run_all(loader.compile(), compile_kernels(), place())
    times.seconds["waited"] = loader.waited
    return read[0]
