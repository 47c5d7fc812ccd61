"""From an opened checkpoint to a model that writes: weights, kernels, tokenizer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from webllm_py.api import sampling_defaults
from webllm_py.checkpoint import Checkpoint
from webllm_py.concurrency import run_all
from webllm_py.errors import DeviceLimitError, GPUOutOfMemoryError
from webllm_py.gpu import Device
from webllm_py.gpu.owner import BufferOwner
from webllm_py.loading.loaded import LoadedModel
from webllm_py.loading.options import LoadOptions
from webllm_py.loading.texts import json_file
from webllm_py.loading.weights import load_weights
from webllm_py.models.kv_cache import longest_context
from webllm_py.models.transformer import Transformer
from webllm_py.models.tuning import tuning_for
from webllm_py.runtime.executor import Executor
from webllm_py.runtime.tuning.choices import Choices, kept_choices
from webllm_py.runtime.tuning.gemm_trial import GemmTrial
from webllm_py.runtime.tuning.tuner import Tuner
from webllm_py.runtime.weights.floats import read_floats
from webllm_py.runtime.weights.loader import Loader, place_weights
from webllm_py.runtime.weights.progress import ProgressReporter
from webllm_py.tokenizer import Tokenizer

__all__ = ["load_decoder"]


async def load_decoder(
    checkpoint: Checkpoint,
    model: Transformer,
    owner: BufferOwner,
    options: LoadOptions,
    report: ProgressReporter,
) -> LoadedModel:
    """Bring a model to the GPU, compile and tune its kernels, and read its tokenizer.

    Raises:
        WebLLMError: every error of files, tokenizer and GPU; the caller frees what ``owner`` has.
    """
    recalling = asyncio.ensure_future(recalled(owner.device, options))
    try:
        sinks = sinks_for(checkpoint, model, options)
        executor, loader = await make_executor(owner, model, options, report, sinks)
        tuner = Tuner(executor, options.tune)
        tokenizer = await fill(tuner, loader, checkpoint, report, recalling)
    except (GPUOutOfMemoryError, DeviceLimitError) as error:
        offer_context(error, model, owner, options)
        raise
    finally:
        recalling.cancel()
    return LoadedModel(
        checkpoint,
        tokenizer,
        owner,
        report.times,
        options.quantize,
        sampling=sampling_defaults(json_file(checkpoint, "generation_config.json")),
        executor=executor,
        tuning=None if options.tune is False else tuner.report,
    )


def sinks_for(checkpoint: Checkpoint, model: Transformer, options: LoadOptions) -> int | None:
    """See ``sliding_window.sinks_of``. What MLC says counts where nobody says otherwise."""
    window = options.sliding_window_size
    ends = options.context_length is not None or options.kv_dtype == "q8"
    if window is None and (ends or "attention_sink_size" not in checkpoint.metadata):
        return None
    from webllm_py.loading.sliding_window import sinks_of  # not before it is needed

    return sinks_of(checkpoint, model.config, window, options.attention_sink_size)


def offer_context(
    error: GPUOutOfMemoryError | DeviceLimitError,
    model: Transformer,
    owner: BufferOwner,
    options: LoadOptions,
) -> None:
    """Put into the error of a load which context would have fit, if any does."""
    from webllm_py.runtime.memory import fitting_context  # not before something is wrong

    room = None
    if isinstance(error, GPUOutOfMemoryError):  # all that could be had, without what others have
        room = owner.most_bytes - error.nbytes
    length = options.context_length
    found = fitting_context(
        model,
        owner.device,
        room,
        context_length=length and int(length),
        quantize=options.quantize,
        kv_format=options.kv_dtype,
    )
    if found:
        error.offer(found)


async def make_executor(
    owner: BufferOwner,
    model: Transformer,
    options: LoadOptions,
    report: ProgressReporter,
    sinks: int | None = None,
) -> tuple[Executor, Loader]:
    """Buffers for the weights and for what computes with them, all of them empty yet.

    Args:
        sinks: see ``Executor``.

    Raises:
        DeviceLimitError: the device cannot bind them.
        ValueError: a window too small for its sinks.
    """
    config, device = model.config, owner.device
    context = min(config.context_length, longest_context(config, device, options.kv_dtype))
    if wanted := options.context_length or options.sliding_window_size:
        context = min(context, int(wanted))
    if sinks is not None:
        from webllm_py.loading.sliding_window import whole_window

        context = whole_window(context, sinks, model.together)
    factors = model.rope_factors(context)
    rotations = model.rotations(context, await read_floats(factors) if factors else None)
    weights, loader = place_weights(device, owner, model, report, options.quantize)
    executor = Executor(
        device,
        owner,
        model,
        weights,
        context_length=context,
        rotations=rotations,
        tuning=tuning_for(device),
        kv_format=options.kv_dtype,
        sinks=sinks,
    )
    if model.vision:
        from webllm_py.runtime.vision.images import add_images  # few models see

        add_images(executor, model.vision, loader)
    loader.begin()
    await device.check()
    return executor, loader


async def recalled(device: Device, options: LoadOptions) -> Choices:
    """What earlier loads found on this adapter, where it may be used."""
    return {} if options.tune is False else await kept_choices(device)


async def fill(
    tuner: Tuner,
    loader: Loader,
    checkpoint: Checkpoint,
    report: ProgressReporter,
    recalling: Awaitable[Choices],
) -> Tokenizer:
    """Weights and kernels, then the kernels' shapes; the tokenizer of what was read."""
    executor = tuner.executor
    trial = GemmTrial(executor, keep=not tuner.off)
    tried: list[asyncio.Future[None]] = []

    async def compile_tried(asked: Callable[[], None]) -> None:
        # ``asked`` comes after they are under way, since what it begins takes long.
        await run_all(tuner.compile_likely(), trial.compile(), begun=asked)

    async def prepare(asked: Callable[[], None]) -> None:
        kept = await recalling
        trial.recall(kept)

        def usual_asked() -> None:  # only now: nothing but tuning waits for the others
            tried.append(asyncio.ensure_future(compile_tried(asked)))

        await tuner.prepare(kept, usual_asked)

    try:
        vocab_size = executor.model.config.vocab_size
        tokenizer = await load_weights(loader, checkpoint, vocab_size, report, prepare)
        with report.times.measure("tuning"):
            await asyncio.gather(*tried)
            await tuner.finish()
            await trial.run()
    finally:
        for task in tried:
            task.cancel()
        await asyncio.gather(*tried, return_exceptions=True)
        await tuner.close()
    return tokenizer
