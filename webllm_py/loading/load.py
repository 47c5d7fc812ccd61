"""From a source to a model that is ready to run: files, tokenizer, GPU, weights, kernels."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from webllm_py.api import sampling_defaults
from webllm_py.checkpoint import Checkpoint, open_checkpoint
from webllm_py.errors import (
    ChangedFileError,
    CorruptCheckpointError,
    DeviceLimitError,
    GPUOutOfMemoryError,
    MissingFileError,
    SourceError,
)
from webllm_py.fetch.options import FetchOptions
from webllm_py.gpu import Device
from webllm_py.gpu.owner import BufferOwner
from webllm_py.loading.loaded import LoadedModel
from webllm_py.loading.options import LoadOptions
from webllm_py.loading.shared_device import SharedDevice
from webllm_py.loading.texts import json_file, tokenizer_of
from webllm_py.models import ENCODERS, model_for
from webllm_py.models.transformer import Transformer
from webllm_py.models.tuning import tuning_for
from webllm_py.runtime.choices import kept_choices
from webllm_py.runtime.executor import Executor, longest_context
from webllm_py.runtime.floats import read_floats
from webllm_py.runtime.gemm_trial import GemmTrial
from webllm_py.runtime.loader import Loader, place_weights
from webllm_py.runtime.progress import ProgressReporter
from webllm_py.runtime.tuner import Tuner
from webllm_py.together import together
from webllm_py.tokenizer import Tokenizer

if TYPE_CHECKING:
    from webllm_py.loading.embedder import LoadedEmbedder

__all__ = [
    "load_model",
    "pocket_model",
]


MOST_CHANGES = 2  # of a file on its server, after each of which it is loaded anew


def pocket_model() -> Path:
    """The model that ships: inside the wheel, or in demo/ of a source checkout."""
    package = Path(__file__).resolve().parents[1]
    for path in (package / "pocket.gguf", package.parent / "demo" / "pocket" / "pocket.gguf"):
        if path.is_file():
            return path
    raise MissingFileError(
        "this installation has no pocket model (pocket.gguf); give a source, or install the wheel"
    )


async def load_model(options: LoadOptions, shared: SharedDevice) -> LoadedModel | LoadedEmbedder:
    """Load a decoder, or a text encoder. Whatever goes wrong, and when cancelled, nothing is left
    behind but the device.

    Raises:
        WebLLMError: every error of files, tokenizer and GPU; see ``webllm_py.errors``.
    """
    try:
        for _ in range(MOST_CHANGES):
            with suppress(ChangedFileError):  # what was loaded of the older one is of no use
                return await try_to_load(options, shared)
        return await try_to_load(options, shared)
    except CorruptCheckpointError:
        fetch = options.fetch or FetchOptions()
        if isinstance(options.source, str) and fetch.keep:
            from webllm_py.fetch.models_store import models_store

            with suppress(SourceError):  # none of a server's
                await models_store(fetch.store).discard_unverified(options.source)
        raise


async def try_to_load(options: LoadOptions, shared: SharedDevice) -> LoadedModel | LoadedEmbedder:
    """As ``load_model``; ChangedFileError where a server's file became another meanwhile."""
    report = ProgressReporter(options.on_progress)
    report.stage("opening", "Opening the model")
    source = pocket_model() if options.source is None else options.source
    opening = asyncio.ensure_future(shared.opened())  # while the header comes
    checkpoint = owner = None
    try:
        checkpoint = await open_checkpoint(source, options.fetch or FetchOptions(), options.vision)
        await checkpoint.make_room()
        if checkpoint.architecture in ENCODERS:
            return await load_encoder(checkpoint, opening, options, report)
        model = model_for(checkpoint)
        device = await opening
        report.times.end("header")
        owner = BufferOwner(device)
        try:
            sinks = sinks_for(checkpoint, model, options)
            executor, loader = await make_executor(device, owner, model, options, report, sinks)
            tuner = Tuner(executor, options.tune)
            tokenizer = await fill(tuner, loader, checkpoint, report)
        except (GPUOutOfMemoryError, DeviceLimitError) as error:
            offer_context(error, model, owner, options)
            raise
        report.times.end("total")
        report.stage("ready", "Ready")
        await asyncio.sleep(0)  # the last moment at which a cancellation still frees everything
        return LoadedModel(
            checkpoint,
            tokenizer,
            sampling_defaults(json_file(checkpoint, "generation_config.json")),
            executor,
            owner,
            times=report.times,
            quantize=options.quantize,
            tuning=None if options.tune is False else tuner.report,
        )
    except BaseException:
        if owner:
            owner.free_all()
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        if checkpoint:
            await checkpoint.close()
        raise


def sinks_for(checkpoint: Checkpoint, model: Transformer, options: LoadOptions) -> int | None:
    """See ``sliding_window.sinks_of``. What MLC says counts where nobody says otherwise."""
    window = options.sliding_window_size
    ends = options.context_length is not None or options.kv_dtype == "q8"
    if window is None and (ends or "attention_sink_size" not in checkpoint.metadata):
        return None
    from webllm_py.loading.sliding_window import sinks_of  # not before it is needed

    return sinks_of(checkpoint, model.config, window, options.attention_sink_size)


async def load_encoder(
    checkpoint: Checkpoint,
    opening: asyncio.Future[Device],
    options: LoadOptions,
    report: ProgressReporter,
) -> LoadedEmbedder:
    """The text encoder of a checkpoint; its code is imported for it."""
    from webllm_py.loading.embedder import load_embedder
    from webllm_py.models.bert import encoder_for

    model = encoder_for(checkpoint)
    device = await opening
    report.times.end("header")
    owner = BufferOwner(device)
    try:
        loaded = await load_embedder(
            checkpoint,
            model,
            owner,
            report,
            partial(tokenizer_of, checkpoint, model.config.vocab_size),
            context_length=options.context_length,
            quantize=options.quantize,
        )
        report.times.end("total")
        report.stage("ready", "Ready")
        await asyncio.sleep(0)
        return loaded
    except BaseException:
        owner.free_all()
        raise


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
    device: Device,
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
    config = model.config
    context = min(config.context_length, longest_context(config, device, options.kv_dtype))
    if wanted := options.context_length or options.sliding_window_size:
        context = min(context, int(wanted))
    if sinks is not None:
        from webllm_py.loading.sliding_window import whole_window

        context = whole_window(context, sinks)
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
        from webllm_py.runtime.images import add_images  # few models see

        add_images(executor, model.vision, loader)
    await device.check()
    return executor, loader


async def fill(
    tuner: Tuner, loader: Loader, checkpoint: Checkpoint, report: ProgressReporter
) -> Tokenizer:
    """Weights to the GPU; while they come, kernels are compiled, and the tokenizer is read. Then
    kernels are tuned."""
    model, times = tuner.executor.model, report.times
    read: list[Tokenizer] = []

    def read_tokenizer() -> None:
        report.stage("tokenizer", "Reading the tokenizer")
        with times.measure("tokenizer"):
            read.append(tokenizer_of(checkpoint, model.config.vocab_size))
        report.stage("weights", "Loading the weights", total=loader.nbytes)

    async def load_weights() -> None:
        with times.measure("weights"):
            await loader.run(read_tokenizer)
            if await checkpoint.verify():
                report.again()
                await loader.run()  # from the store
        report.stage("kernels", "Compiling the kernels")

    trial = GemmTrial(tuner.executor, keep=not tuner.off)

    async def prepare() -> None:
        with times.measure("kernels"):
            kept = {} if tuner.off else await kept_choices(tuner.executor.device)
            trial.recall(kept)
            await asyncio.gather(tuner.prepare(kept), trial.compile())

    try:
        # In this order: the kernels that place the first bytes are needed first.
        await together(loader.compile(), prepare(), load_weights())
        with times.measure("tuning"):
            await tuner.finish()
            await trial.run()
    finally:
        await tuner.close()
    times.seconds["waited"] = loader.waited
    return read[0]
