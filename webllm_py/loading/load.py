"""From a source to a model that is ready to run, a decoder or an encoder."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from webllm_py.checkpoint import Checkpoint, open_checkpoint
from webllm_py.errors import (
    ChangedFileError,
    CorruptCheckpointError,
    MissingFileError,
    SourceError,
)
from webllm_py.fetch.options import FetchOptions
from webllm_py.gpu.owner import BufferOwner
from webllm_py.loading.decoder import load_decoder
from webllm_py.loading.loaded import LoadedModel
from webllm_py.loading.options import LoadOptions
from webllm_py.loading.shared_device import SharedDevice
from webllm_py.loading.texts import with_template
from webllm_py.models import ENCODERS, model_for
from webllm_py.runtime.weights.progress import ProgressReporter

if TYPE_CHECKING:
    from webllm_py.loading.embedder import LoadedEmbedder

__all__ = ["load_model", "pocket_model"]

MOST_CHANGES = 2  # of a file on its server, after each of which it is loaded anew

LoadFunction: TypeAlias = Callable[
    [BufferOwner, LoadOptions, ProgressReporter], Awaitable["LoadedModel | LoadedEmbedder"]
]


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
            from webllm_py.fetch.store.models_store import models_store

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
        fetch = watched(options.fetch or FetchOptions(), report)
        checkpoint = await open_checkpoint(source, fetch, options.vision)
        checkpoint = with_template(checkpoint, options.chat_template)
        await checkpoint.make_room()
        load = loader_for(checkpoint)
        device = await opening
        report.times.end("header")
        if shared.before_weights is not None:
            await shared.before_weights()
        owner = BufferOwner(device)
        loaded = await load(owner, options, report)
        if options.chat_template is not None and isinstance(loaded, LoadedModel):
            _ = loaded.dialect  # the caller is told now of what is wrong with a template of theirs
        report.times.end("total")
        report.stage("ready", "Ready")
        await asyncio.sleep(0)  # the last moment at which a cancellation still frees everything
        if isinstance(loaded, LoadedModel):
            loaded.executor.prepare_behind()
        return loaded
    except BaseException:
        if owner:
            owner.free_all()
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        if checkpoint:
            await checkpoint.close()
        raise


def watched(fetch: FetchOptions, report: ProgressReporter) -> FetchOptions:
    """The same options, whose retries are told of as progress too."""

    def retrying(error: SourceError, seconds: float) -> None:
        report.retrying(error, seconds)
        if fetch.on_retry is not None:
            fetch.on_retry(error, seconds)

    return replace(fetch, on_retry=retrying)


def loader_for(checkpoint: Checkpoint) -> LoadFunction:
    """What loads a checkpoint's model, by its architecture.

    Raises:
        UnsupportedModelError: it is one that this version does not run.
        CorruptCheckpointError: tensors are missing, left over, or of other shapes.
    """
    if checkpoint.architecture in ENCODERS:  # their code is imported for them
        from webllm_py.loading.embedder import load_embedder
        from webllm_py.models.bert import encoder_for

        return partial(load_embedder, checkpoint, encoder_for(checkpoint))
    return partial(load_decoder, checkpoint, model_for(checkpoint))
