"""``webllm-py info``: what a model is and needs, without loading its weights."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import Namespace
from typing import Any

from webllm_py.chat.capabilities import TemplateCapabilities
from webllm_py.checkpoint import Checkpoint, open_checkpoint
from webllm_py.cli.opening import open_gpu
from webllm_py.cli.prebuilt import describe_prebuilt, find_prebuilt
from webllm_py.cli.progress import ProgressLine
from webllm_py.cli.report import report
from webllm_py.cli.terminal import Style
from webllm_py.errors import DeviceError, DeviceLimitError, SourceError, TemplateError
from webllm_py.fetch.options import FetchOptions
from webllm_py.fetch.prebuilt import Prebuilt
from webllm_py.gpu import Device
from webllm_py.loading import pocket_model
from webllm_py.loading.texts import template_of, token_text, tokenizer_of
from webllm_py.models import ENCODERS, model_for
from webllm_py.models.bert import Bert, encoder_for
from webllm_py.models.prebuilt import imagined
from webllm_py.models.transformer import Transformer
from webllm_py.runtime.memory import SizingDevice, plan_encoder_memory, plan_memory
from webllm_py.runtime.tuning.choices import kept_choices
from webllm_py.runtime.weights.storage import quantization_label
from webllm_py.tokenizer import Tokenizer

__all__ = ["describe", "info"]


def info(options: Namespace) -> int:
    """Run the command."""
    found = asyncio.run(describe(options))
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print(report(found, Style.of(sys.stdout)))
    return 0


async def describe(options: Namespace) -> dict[str, Any]:
    """Everything about a model and this machine's GPU, as plain values (sizes in bytes)."""
    progress = ProgressLine(sys.stderr)
    progress.say("Reading the model's header ...")
    try:
        source = pocket_model() if options.source is None else options.source
        record = find_prebuilt(source)
        # Much of a prebuilt model is known: nobody waits long for a network that is not there.
        fetch = FetchOptions(keep=False, tries=2) if record else None
        try:
            checkpoint = await open_checkpoint(source, fetch, options.vision)
        except SourceError as error:
            if record is None:
                raise
            return await describe_planned(record, error, options)
        try:
            encodes = checkpoint.architecture in ENCODERS
            model = encoder_for(checkpoint) if encodes else model_for(checkpoint)
            tokenizer = tokenizer_of(checkpoint, model.config.vocab_size)
        finally:
            await checkpoint.close()
        progress.say("Asking the GPU ...")
        gpu, memory = await on_this_gpu(model, options)
    finally:
        progress.clear()
    return {
        "name": checkpoint.name,
        "kind": checkpoint.kind,
        **(describe_encoder(model) if isinstance(model, Bert) else describe_model(model)),
        "tokenizer": describe_tokenizer(checkpoint, tokenizer),
        "chat_template": None if encodes else describe_template(checkpoint, tokenizer),
        "memory": memory,
        "gpu": gpu,
    }


async def describe_planned(
    record: Prebuilt, error: SourceError, options: Namespace
) -> dict[str, Any]:
    """The part of a model's description that is known without a prebuilt model's files."""
    model: Transformer | Bert | None = None
    if checkpoint := imagined(record):
        encodes = checkpoint.architecture in ENCODERS
        model = encoder_for(checkpoint) if encodes else model_for(checkpoint)
    gpu, memory = await on_this_gpu(model, options)
    return {**describe_prebuilt(record, error), "memory": memory, "gpu": gpu}


def describe_model(model: Transformer) -> dict[str, Any]:
    """Its numbers."""
    config = model.config
    scaling = config.rope_scaling
    return {
        **common_numbers(model),
        "n_kv_heads": config.n_kv_heads,
        "recurrence": config.recurrence.name if config.recurrence else None,
        "n_recurrent_layers": sum(kind.recurrent for kind in config.layer_kinds),
        "tied_embeddings": model.tied,
        "experts": describe_experts(model),
        "vision": model.vision.config.architecture if model.vision else None,
        "rope_theta": config.rope_theta,
        "rope_scaling": scaling and f"{scaling.kind}, factor {scaling.factor:g}",
    }


def describe_experts(model: Transformer) -> dict[str, Any] | None:
    """Of a mixture: its experts, and what a token has to do with."""
    config = model.config
    mixtures = sum(layer.experts is not None for layer in model.layers)
    if not mixtures:
        return None
    return {
        "layers": mixtures,
        "count": config.n_experts,
        "used": config.n_experts_used,
        "size": config.expert_size,
        "shared_size": config.expert_size if config.shared_expert else config.beside_size,
        "active_parameters": model.n_active_parameters,
    }


def describe_encoder(model: Bert) -> dict[str, Any]:
    """The numbers of a text embedder."""
    config = model.config
    return {
        **common_numbers(model),
        "n_kv_heads": config.n_heads,
        "pooling": config.pooling,
        "normalized": config.normalize,
    }


def common_numbers(model: Transformer | Bert) -> dict[str, Any]:
    """What both kinds have."""
    config = model.config
    return {
        "architecture": config.architecture,
        "parameters": model.n_parameters,
        "file_bytes": model.nbytes,
        "bytes_by_format": model.formats,
        "n_layers": config.n_layers,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "n_heads": config.n_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "trained_context_length": config.context_length,
    }


def describe_tokenizer(checkpoint: Checkpoint, tokenizer: Tokenizer) -> dict[str, Any]:
    """Its kind, its size, its special tokens."""
    return {
        "kind": tokenizer_kind(checkpoint),
        "tokens": tokenizer.vocab_size,
        "bos": token_text(tokenizer, tokenizer.bos_id) or None,
        "adds_bos": tokenizer.add_bos,
        "ends": [token_text(tokenizer, token) for token in sorted(tokenizer.end_ids)],
    }


def tokenizer_kind(checkpoint: Checkpoint) -> str:
    """What it was read from."""
    if checkpoint.kind == "gguf":
        kinds = {
            **{"llama": "SentencePiece BPE", "gpt2": "byte-level BPE"},
            **{"bert": "WordPiece", "t5": "Unigram"},
        }
        name = str(checkpoint.metadata.get("tokenizer.ggml.model"))
        split = checkpoint.metadata.get("tokenizer.ggml.pre")
        return kinds.get(name, name) + (f", {split}" if split else "")
    for name in (
        *("tokenizer.json", "tokenizer.model", "vocab.json", "encoder.json"),
        "vocab.txt",
    ):
        if name in checkpoint.files:
            return f"from {name}"
    return "unknown"


def describe_template(checkpoint: Checkpoint, tokenizer: Tokenizer) -> dict[str, Any]:
    """Whether the checkpoint brings a chat template, and what that knows."""
    try:
        template = template_of(checkpoint, tokenizer)
        for_tools = template_of(checkpoint, tokenizer, tools=True)
    except TemplateError as error:
        return {"from_checkpoint": True, "error": str(error)}
    return {
        "from_checkpoint": bool(checkpoint.chat_template or checkpoint.conversation),
        "system": not TemplateCapabilities(template).drops_system,
        "tools": "tools" in for_tools.variables,
    }


async def on_this_gpu(
    model: Transformer | Bert | None, options: Namespace
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The GPU, and the memory that the model would take on it."""
    try:
        device = await open_gpu(options)
    except DeviceError as error:
        memory = memory_of(model, SizingDevice(), options) if model else None
        return {"error": str(error)}, memory
    try:
        gpu = await describe_gpu(device)
        return gpu, memory_of(model, device, options) if model else None
    finally:
        device.close()


async def describe_gpu(device: Device) -> dict[str, Any]:
    """The adapter, what the kernels use of it, and its limits."""
    tuned = {name: list(shape) for name, shape in (await kept_choices(device)).items()}
    adapter, limits, variant = device.info, device.limits, device.variant
    return {
        "adapter": adapter.name,
        "vendor": adapter.vendor,
        "backend": adapter.backend,
        "is_cpu": adapter.is_cpu,
        "f16": variant.f16,
        "subgroups": variant.subgroups,
        "features": sorted(adapter.features),
        "max_buffer_bytes": limits.max_buffer_size,
        "max_binding_bytes": limits.max_storage_buffer_binding_size,
        "max_workgroup_bytes": limits.max_compute_workgroup_storage_size,
        "max_workgroup_threads": limits.max_compute_invocations_per_workgroup,
        "tuned_shapes": tuned,
    }


def memory_of(
    model: Transformer | Bert, device: Device | SizingDevice, options: Namespace
) -> dict[str, Any]:
    """What loading with these options takes, in bytes; or why it cannot be loaded."""
    try:
        if isinstance(model, Bert):
            return encoder_memory(model, device, options)
        plan = plan_memory(
            model,
            device,
            context_length=options.context,
            quantize=options.quantize,
            kv_format=options.kv_dtype,
        )
    except DeviceLimitError as error:
        return {"error": str(error)}
    return {
        "quantization": quantization_label(model.formats, options.quantize),
        "kv_dtype": options.kv_dtype,
        "context_length": plan.context_length,
        "weights": plan.weights,
        "work": plan.work,
        "cache_1000_tokens": plan.cache(1000),
        "cache_whole_context": plan.cache(plan.context_length),
        "grammar": plan.grammar,
        "loaded": plan.loaded,
        "whole": plan.whole,
    }


def encoder_memory(
    model: Bert, device: Device | SizingDevice, options: Namespace
) -> dict[str, Any]:
    """As ``memory_of``, of a text embedder, which has no cache."""
    plan = plan_encoder_memory(
        model, device, context_length=options.context, quantize=options.quantize
    )
    return {
        "quantization": quantization_label(model.formats, options.quantize),
        "context_length": plan.context_length,
        "weights": plan.weights,
        "work": plan.work,
        "loaded": plan.loaded,
        "whole": plan.whole,
    }
