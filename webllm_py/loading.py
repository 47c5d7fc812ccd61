"""From a source to a model that is ready to run: files, tokenizer, GPU, weights, kernels."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webllm_py.api import sampling_defaults
from webllm_py.chat import choose_template
from webllm_py.chat.template import Template
from webllm_py.checkpoint import Checkpoint, open_checkpoint
from webllm_py.errors import (
    ChangedFileError,
    CorruptCheckpointError,
    MissingFileError,
    SourceError,
    TemplateError,
)
from webllm_py.fetch.options import FetchOptions
from webllm_py.gpu import Device, open_device
from webllm_py.gpu.describe import describe_device
from webllm_py.gpu.owner import BufferOwner
from webllm_py.models import ENCODERS, model_for
from webllm_py.models.kv_cache import KV_FORMATS, KVFormat
from webllm_py.models.transformer import Transformer
from webllm_py.models.tuning import tuning_for
from webllm_py.runtime.dot4 import Dot4Trial
from webllm_py.runtime.executor import Executor, longest_context
from webllm_py.runtime.loader import Loader, place_weights, read_floats
from webllm_py.runtime.progress import LoadTimes, ProgressCallback, ProgressReporter
from webllm_py.runtime.storage import Quantize, quantization_label
from webllm_py.runtime.together import together
from webllm_py.runtime.tuner import Tuner, TuningReport
from webllm_py.tokenizer import Tokenizer, from_files, from_gguf

if TYPE_CHECKING:
    from webllm_py.chat.dialect import Dialect
    from webllm_py.embedding import LoadedEmbedder
    from webllm_py.grammar import TokenMasks
    from webllm_py.runtime.embeds import Embeds

__all__ = [
    "LoadOptions",
    "LoadedModel",
    "load_model",
    "pocket_model",
]


@dataclass(frozen=True)
class LoadOptions:
    """What ``webllm_py.load`` was asked for."""

    source: Any = None
    context_length: int | None = None
    device: Device | str | None = None
    on_progress: ProgressCallback | None = None
    quantize: Quantize | None = None
    kv_dtype: KVFormat = "f16"
    tune: bool | None = None
    fetch: FetchOptions | None = None

    def __post_init__(self) -> None:
        length = self.context_length
        if length is not None and (
            isinstance(length, bool) or not hasattr(length, "__index__") or length < 1
        ):
            raise ValueError(f"context_length must be a positive whole number, not {length!r}")
        said = self.quantize
        kinds = said.values() if isinstance(said, Mapping) else (said,)
        if not all(kind in (None, "q4", "q8") for kind in kinds):
            raise ValueError(
                f"quantize must be 'q4', 'q8' or None, or a mapping to these, not {said!r}"
            )
        if self.tune not in (True, False, None):
            raise ValueError(f"tune must be True, False or None, not {self.tune!r}")
        if self.kv_dtype not in KV_FORMATS:
            raise ValueError(f"kv_dtype must be 'f16', 'f32' or 'q8', not {self.kv_dtype!r}")
        known = self.device in (None, *POWER) or hasattr(self.device, "create_buffer")
        if not known:
            raise ValueError(
                f"device must be one of {', '.join(POWER)} or a Device, not {self.device!r}"
            )


POWER = ("high-performance", "low-power")
MOST_CHANGES = 2  # of a file on its server, after each of which it is loaded anew


@dataclass(frozen=True)
class LoadedModel:
    """Everything that an engine runs a model with.

    Attributes:
        owns_device: whether the device was opened for this model alone.
        tuning: None if it runs with fixed defaults.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    sampling: Mapping[str, Any]
    executor: Executor
    owner: BufferOwner
    owns_device: bool
    times: LoadTimes
    quantize: Quantize | None = None
    tuning: TuningReport | None = None

    @cached_property
    def dialect(self) -> Dialect:
        """How the model talks, made when the first chat needs it: text completions need none.

        Raises:
            TemplateError: the checkpoint's template cannot be used.
        """
        from webllm_py.chat.dialect import Dialect  # not before it is needed, see webllm_py.chat

        tokenizer = self.tokenizer
        return Dialect(
            template_of(self.checkpoint, tokenizer),
            lambda text: tokenizer.token_id(text) is not None,
            lambda text: tokenizer.token_id(text) in tokenizer.special_ids - tokenizer.end_ids,
        )

    @cached_property
    def controls(self) -> dict[int, int]:
        """Control tokens that mean something in an answer, and the byte of each in grammars."""
        try:
            found = self.dialect.controls
        except TemplateError:  # which chats get to see; a text completion has nothing to do with it
            return {}
        ids = {self.tokenizer.token_id(text): byte for text, byte in found.items()}
        return {id: byte for id, byte in ids.items() if id is not None}

    @cached_property
    def token_masks(self) -> TokenMasks:
        """What grammars know of the vocabulary; the first mask takes some seconds for a large one
        in a browser."""
        # not before they are needed, see api/requests.py
        from webllm_py.grammar import TokenMasks
        from webllm_py.token_texts import TokenTexts

        size = self.executor.model.config.vocab_size
        texts = TokenTexts(self.tokenizer, size, self.controls)
        return TokenMasks(texts, [id for id in self.tokenizer.end_ids if id < size])

    @cached_property
    def embedder(self) -> Embeds | None:
        """What embeds texts, if the model was trained for that.

        Raises:
            UnsupportedModelError: it pools in a way that this version does not run.
        """
        from webllm_py.runtime.decoder_embedder import embedder_of  # not before it is needed

        return embedder_of(self.checkpoint, self.executor)

    def describe(self) -> dict[str, Any]:
        """What runs where, as plain values; bytes and counts as whole numbers."""
        model, device = self.executor.model, describe_device(self.owner.device)
        config = model.config
        return {
            "name": self.checkpoint.name,
            "architecture": config.architecture,
            "quantization": quantization_label(model.formats, self.quantize),
            "parameters": model.n_parameters,
            "vocab_size": config.vocab_size,
            "n_layers": config.n_layers,
            "hidden_size": config.hidden_size,
            "context_length": self.executor.context_length,
            "trained_context_length": config.context_length,
            "file_bytes": model.nbytes,
            "gpu_memory": self.owner.nbytes,
            "load_times": self.times.seconds,
            "kv_dtype": self.executor.kv_format,
            **device,
            "kernels": device["kernels"] + (", prompts in 8 bits" if self.executor.dot4 else ""),
            "tuning": str(self.tuning or "off"),
            "tuned_shapes": {
                name: list(shape) for name, shape in self.executor.tuning.chosen.items()
            },
        }

    async def close(self) -> None:
        """Free the GPU's memory and close the files."""
        await self.executor.batch.close()
        self.executor.drop_plans()
        self.owner.free_all()
        if self.owns_device:
            self.owner.device.close()
        await self.checkpoint.close()


def pocket_model() -> Path:
    """The model that ships: inside the wheel, or in demo/ of a source checkout."""
    package = Path(__file__).resolve().parent
    for path in (package / "pocket.gguf", package.parent / "demo" / "pocket" / "pocket.gguf"):
        if path.is_file():
            return path
    raise MissingFileError(
        "this installation has no pocket model (pocket.gguf); give a source, or install the wheel"
    )


async def load_model(options: LoadOptions) -> LoadedModel | LoadedEmbedder:
    """Load a decoder, or a text encoder. Whatever goes wrong, and when cancelled, nothing is left
    behind.

    Raises:
        WebLLMError: every error of files, tokenizer and GPU; see ``webllm_py.errors``.
    """
    try:
        for _ in range(MOST_CHANGES):
            with suppress(ChangedFileError):  # what was loaded of the older one is of no use
                return await try_to_load(options)
        return await try_to_load(options)
    except CorruptCheckpointError:
        fetch = options.fetch or FetchOptions()
        if isinstance(options.source, str) and fetch.keep:
            from webllm_py.fetch.models_store import models_store

            with suppress(SourceError):  # none of a server's
                await models_store(fetch.store).discard_unverified(options.source)
        raise


async def try_to_load(options: LoadOptions) -> LoadedModel | LoadedEmbedder:
    """As ``load_model``; ChangedFileError where a server's file became another meanwhile."""
    report = ProgressReporter(options.on_progress)
    report.stage("opening", "Opening the model")
    source = pocket_model() if options.source is None else options.source
    opening = asyncio.ensure_future(device_for(options))  # while the header comes
    checkpoint = owner = None
    try:
        checkpoint = await open_checkpoint(source, options.fetch or FetchOptions())
        await checkpoint.make_room()
        if checkpoint.architecture in ENCODERS:
            return await load_encoder(checkpoint, opening, options, report)
        model = model_for(checkpoint)
        device = await opening
        report.times.end("header")
        owner = BufferOwner(device)
        executor, loader = await make_executor(device, owner, model, options, report)
        tuner = Tuner(executor, options.tune)
        tokenizer = await fill(tuner, loader, checkpoint, report)
        report.times.end("total")
        report.stage("ready", "Ready")
        await asyncio.sleep(0)  # the last moment at which a cancellation still frees everything
        return LoadedModel(
            checkpoint,
            tokenizer,
            sampling_defaults(json_file(checkpoint, "generation_config.json")),
            executor,
            owner,
            owns_device=device is not options.device,
            times=report.times,
            quantize=options.quantize,
            tuning=None if options.tune is False else tuner.report,
        )
    except BaseException:
        if owner:
            owner.free_all()
        await give_back(opening, options)
        if checkpoint:
            await checkpoint.close()
        raise


async def load_encoder(
    checkpoint: Checkpoint,
    opening: asyncio.Future[Device],
    options: LoadOptions,
    report: ProgressReporter,
) -> LoadedEmbedder:
    """The text encoder of a checkpoint; its code is imported for it."""
    from webllm_py.embedding import load_embedder
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
            owns_device=device is not options.device,
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


async def give_back(opening: asyncio.Future[Device], options: LoadOptions) -> None:
    """Close the device that was being opened, unless it is the caller's."""
    opening.cancel()
    (device,) = await asyncio.gather(opening, return_exceptions=True)
    if device is not options.device and not isinstance(device, BaseException):
        device.close()


async def device_for(options: LoadOptions) -> Device:
    """The device that was given, or a newly opened one."""
    if options.device is None:
        return await open_device()
    if isinstance(options.device, str):
        return await open_device(power_preference=options.device)
    return options.device


async def make_executor(
    device: Device,
    owner: BufferOwner,
    model: Transformer,
    options: LoadOptions,
    report: ProgressReporter,
) -> tuple[Executor, Loader]:
    """Buffers for the weights and for what computes with them, all of them empty yet."""
    config = model.config
    context = min(config.context_length, longest_context(config, device, options.kv_dtype))
    if options.context_length:
        context = min(context, int(options.context_length))
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
    )
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

    trial = Dot4Trial(tuner.executor, keep=not tuner.off)

    async def prepare() -> None:
        with times.measure("kernels"):
            await trial.recall()
            await asyncio.gather(tuner.prepare(), trial.compile())

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


def tokenizer_of(checkpoint: Checkpoint, vocab_size: int) -> Tokenizer:
    """The checkpoint's tokenizer.

    Raises:
        CorruptCheckpointError: it has tokens that the model has no embedding for.
    """
    if checkpoint.kind == "gguf":
        tokenizer = from_gguf(checkpoint.metadata)
    else:
        config = json.dumps(dict(checkpoint.metadata)).encode()
        tokenizer = from_files({"config.json": config, **checkpoint.files})
    if tokenizer.vocab_size > vocab_size:
        raise CorruptCheckpointError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, the model embeds only {vocab_size}: "
            "they do not belong together"
        )
    tokenizer.pad(vocab_size)
    return tokenizer


def template_of(checkpoint: Checkpoint, tokenizer: Tokenizer) -> Template:
    """The checkpoint's chat template, or what stands in for one.

    Raises:
        TemplateError: the checkpoint's own cannot be used.
    """
    return choose_template(
        checkpoint.chat_template,
        lambda text: tokenizer.token_id(text) is not None,
        conversation=checkpoint.conversation,
        token_text=lambda token: token_text(tokenizer, token),
        bos_token=token_text(tokenizer, tokenizer.bos_id),
        eos_token=token_text(tokenizer, tokenizer.eos_id),
    )


def token_text(tokenizer: Tokenizer, token: int | None) -> str:
    """A token's text, empty for none."""
    return "" if token is None else tokenizer.token_bytes(token).decode("utf-8", "replace")


def json_file(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    """One of the small JSON files beside the weights; empty where there is none."""
    if name not in checkpoint.files:
        return {}
    try:
        value = json.loads(checkpoint.files[name])
    except ValueError as error:
        raise CorruptCheckpointError(f"{name} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise CorruptCheckpointError(f"{name} must hold a JSON object")
    return value
