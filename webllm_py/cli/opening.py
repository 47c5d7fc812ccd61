"""From a command's options to a loaded engine, with a progress line meanwhile."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from webllm_py.cli.progress import ProgressLine
from webllm_py.engine import Engine, load
from webllm_py.errors import WebLLMError
from webllm_py.gpu import Device, open_device

__all__ = ["adapter_fields", "open_engine", "open_gpu", "sampling_fields"]

SAMPLING = ("temperature", "top_k", "top_p", "min_p", "seed")


class OptionsError(WebLLMError):
    """Options that contradict each other."""


@asynccontextmanager
async def open_engine(
    options: Namespace, source: Any = None, others: Sequence[Any] = ()
) -> AsyncIterator[Engine]:
    """The engine that the options ask for; unloaded at the end.

    Args:
        source: a model to load rather than the options' own.
        others: models to load beside it.
    """
    loading: Any = {
        "context_length": options.context,
        "quantize": options.quantize,
        "kv_dtype": options.kv_dtype,
        "tune": options.tune,
        "vision": options.vision,
        "sliding_window_size": options.sliding_window,
        "attention_sink_size": options.attention_sinks,
        "chat_template": options.chat_template,
    }
    progress = ProgressLine(sys.stderr)
    device = None
    try:
        if options.no_f16 or options.no_subgroups:
            device = await open_gpu(options)
        try:
            engine = await load(
                options.source if source is None else source,
                device=device or options.device,
                on_progress=progress,
                **loading,
            )
        except ValueError as error:
            raise OptionsError(str(error)) from None
        finally:
            progress.clear()
        async with engine:
            try:
                for other in others:
                    await engine.add_model(other, on_progress=progress, **loading)
            finally:
                progress.clear()
            for name, path in getattr(options, "adapter", ()):
                await engine.load_adapter(path, name=name)
            yield engine
    finally:
        if device:
            device.close()


async def open_gpu(options: Namespace) -> Device:
    """The GPU that the options ask for."""
    return await open_device(
        power_preference=options.device,
        f16=not options.no_f16,
        subgroups=not options.no_subgroups,
    )


def adapter_fields(engine: Engine) -> dict[str, Any]:
    """The request's field for all adapters that the options load, each at scale 1."""
    return {"adapters": [*engine.adapters]} if engine.adapters else {}


def sampling_fields(options: Namespace) -> dict[str, Any]:
    """The request's fields that the options give. The model's own settings stand for the others."""
    given = {name: getattr(options, name) for name in (*SAMPLING, "max_tokens")}
    return {name: value for name, value in given.items() if value is not None}
