"""LoRA adapters (arXiv 2106.09685) as PEFT and llama.cpp store them: pairs of low-rank matrices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from webllm_py.checkpoint.checkpoint import Checkpoint, TensorInfo
from webllm_py.checkpoint.gguf import open_gguf
from webllm_py.checkpoint.gguf_format import MAGIC
from webllm_py.checkpoint.json_text import parse_object
from webllm_py.checkpoint.safetensors import read_safetensors
from webllm_py.checkpoint.text_files import read_file
from webllm_py.errors import AdapterError, MissingFileError
from webllm_py.fetch.options import FetchOptions
from webllm_py.fetch.resolver import open_beside, resolve
from webllm_py.fetch.source import ByteSource, Folder, base_name, closed_on_error

__all__ = ["Adapter", "Pair", "open_adapter"]

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
HEAD_BYTES = 16
MAX_CONFIG_BYTES = 4 << 20
FLOATS = ("F32", "F16", "BF16")
PREFIX = "base_model.model."
PEFT_NAME = re.compile(r"(?P<module>.+)\.lora_(?P<half>[AB])(\.\w+)?\.weight")
# Of tables that adapters stand beside PEFT saves a copy, in case that the vocabulary has grown.
COPIES = re.compile(r".+\.(base_layer|embed_tokens|lm_head|embed_in|embed_out|wte)\.weight")
GGUF_NAME = re.compile(r"(?P<module>.+)\.weight\.lora_(?P<half>[ab])")
# Ways to begin the training that change the base model's own weights.
CHANGING_INITS = ("pissa", "olora", "corda")
# Options of adapter_config.json that an adapter is not run with, and what they are.
REFUSED: Mapping[str, str] = {
    "use_dora": "DoRA, which norms the sum with the weight",
    "lora_bias": "biases beside B",
    "modules_to_save": "whole modules that were trained as well",
    "trainable_token_indices": "trained rows of the embedding table",
    "layer_replication": "layers that stand several times",
    "target_parameters": "parameters that are no linear layer's, as experts are",
    "use_qalora": "QALoRA, which pools what goes in",
    "alora_invocation_tokens": "an activated LoRA, which begins at certain tokens",
}


@dataclass(frozen=True)
class Pair:
    """What is added to a linear layer: factor * B A.

    Attributes:
        a, b: (rank, columns) and (rows, rank).
    """

    a: TensorInfo
    b: TensorInfo
    factor: float

    @property
    def rank(self) -> int:
        """Rows of A."""
        return self.a.shape[0]


@dataclass(frozen=True)
class Adapter:
    """An adapter's files, opened and checked, nothing yet loaded.

    Attributes:
        pairs: by the module's name: transformers' for PEFT ("model.layers.0.self_attn.q_proj"),
            GGUF's ("blk.0.attn_q") for GGUF.
        architecture: of the model that it was trained for; PEFT does not say it.
        vocab_size: of that model, where the files say it.
    """

    checkpoint: Checkpoint
    pairs: Mapping[str, Pair]
    architecture: str | None = None
    vocab_size: int | None = None

    @property
    def name(self) -> str:
        """The file's or folder's."""
        return self.checkpoint.name

    @property
    def gguf(self) -> bool:
        """Whether tensors' names and the order of rows are GGUF's."""
        return self.checkpoint.kind == "gguf"

    async def close(self) -> None:
        """Close every source."""
        await self.checkpoint.close()


async def open_adapter(source: Any, options: FetchOptions | None = None) -> Adapter:
    """Open an adapter's files and check them; no tensor is read yet.

    Args:
        source: PEFT's folder (adapter_config.json, adapter_model.safetensors) or a GGUF file whose
            general.type is "adapter", as ``fetch.resolve`` takes them.

    Raises:
        SourceError: the bytes cannot be had.
        MissingFileError: a needed file is not there.
        CorruptCheckpointError: a file is truncated, damaged or contradicts itself.
        AdapterError: no adapter, or one of a kind that is not run; says which.
    """
    opened = await resolve(source, options)
    if isinstance(opened, Folder):
        return await _open_folder(opened)
    async with closed_on_error(opened):
        return await _open_file(opened)


async def _open_file(source: ByteSource) -> Adapter:
    head = await source.read(0, HEAD_BYTES)
    if not head.startswith(MAGIC):
        raise AdapterError(
            f"{source.name} is no GGUF file. An adapter is one of these, or the folder that holds "
            f"PEFT's {CONFIG} and {WEIGHTS}."
        )
    checkpoint = await open_gguf(source, head, partial(open_beside, source), kind="adapter")
    metadata, name = checkpoint.metadata, source.name
    kind = metadata.get("adapter.type", "lora")
    if kind != "lora" or "adapter.alora.invocation_tokens" in metadata:
        raise AdapterError(f"{name} is an adapter of the type {kind!r}; plain LoRA is run.")
    alpha = float(metadata.get("adapter.lora.alpha", 0.0))
    halves = _halves(name, checkpoint.tensors, GGUF_NAME)
    pairs = {
        module: Pair(a, b, alpha / a.shape[0] if alpha else 1.0)
        for module, (a, b) in halves.items()
    }
    return Adapter(checkpoint, pairs, checkpoint.architecture)


async def _open_folder(folder: Folder) -> Adapter:
    data = await read_file(folder, CONFIG, MAX_CONFIG_BYTES)
    if data is None:
        names = await folder.list() or []
        ggufs = [name for name in names if name.lower().endswith(".gguf")]
        if len(ggufs) == 1:
            return await _open_file(await folder.open(ggufs[0]))
        raise MissingFileError(
            f"{folder.name} is no adapter: it holds no {CONFIG}. PEFT's folder has it, and "
            f"{WEIGHTS}; otherwise give a GGUF file."
        )
    config = parse_object(data, f"{CONFIG} of {folder.name}")
    _refuse(folder.name, config)
    try:
        source = await folder.open(WEIGHTS)
    except MissingFileError:
        raise MissingFileError(
            f"{folder.name} holds no {WEIGHTS}. An adapter_model.bin is a PyTorch pickle, which "
            "can run any code on the machine that opens it; save the adapter as safetensors."
        ) from None
    async with closed_on_error(source):
        tensors = await read_safetensors(source)
        copies = [tensor for name, tensor in tensors.items() if COPIES.fullmatch(name)]
        low = {tensor.name: tensor for tensor in tensors.values() if tensor not in copies}
        halves = _halves(folder.name, low, PEFT_NAME)
        pairs = {
            module: _pair(folder.name, config, module, a, b) for module, (a, b) in halves.items()
        }
    checkpoint = Checkpoint(
        kind="huggingface",
        name=base_name(folder.name),
        architecture="",
        metadata=config,
        tensors=tensors,
        sources=(source,),
    )
    return Adapter(checkpoint, pairs, vocab_size=copies[0].shape[0] if copies else None)


def _refuse(name: str, config: Mapping[str, Any]) -> None:
    """Raise for options that would change what is computed."""
    kind = config.get("peft_type", "LORA")
    if kind != "LORA":
        raise AdapterError(f"{name} is an adapter of PEFT's type {kind}; LORA is run.")
    for option, meaning in REFUSED.items():
        if config.get(option):
            raise AdapterError(f"{name} was trained with {option}, {meaning}: that is not run.")
    if config.get("bias", "none") != "none":
        raise AdapterError(f"{name} holds the model's own biases (bias={config['bias']!r}).")
    init = config.get("init_lora_weights")
    if isinstance(init, str) and init.lower().startswith(CHANGING_INITS):
        raise AdapterError(
            f"{name} was begun with {init}, which changes the model's own weights. Convert it: "
            "PEFT's save_pretrained has path_initial_model_for_weight_conversion for that."
        )


def _halves(
    name: str, tensors: Mapping[str, TensorInfo], pattern: re.Pattern[str]
) -> dict[str, tuple[TensorInfo, TensorInfo]]:
    """A and B of each module, of one rank."""
    found: dict[str, dict[str, TensorInfo]] = {}
    for tensor in tensors.values():
        match = pattern.fullmatch(tensor.name)
        if match is None:
            raise AdapterError(
                f"{name} holds the tensor {tensor.name!r}, which is no half of a LoRA of a linear "
                "layer: no adapter, or one with DoRA, biases, embeddings or whole modules."
            )
        if tensor.format.name not in FLOATS or len(tensor.shape) != 2:
            raise AdapterError(
                f"{name}: {tensor.name!r} is {tensor.format.name} of shape {tensor.shape}; an "
                f"adapter's matrices are {', '.join(FLOATS)}."
            )
        module = match["module"].removeprefix(PREFIX)
        found.setdefault(module, {})[match["half"].lower()] = tensor
    if not found:
        raise AdapterError(f"{name} is no adapter: it holds no lora_A and lora_B.")
    pairs = {}
    for module, halves in found.items():
        if len(halves) < 2:
            raise AdapterError(f"{name} has only one half, {', '.join(halves)}, for {module}.")
        a, b = halves["a"], halves["b"]
        if a.shape[0] != b.shape[1]:
            raise AdapterError(
                f"{name}: the ranks of {module} differ: lora_A is {a.shape}, lora_B {b.shape}."
            )
        pairs[module] = a, b
    return pairs


def _pair(name: str, config: Mapping[str, Any], module: str, a: TensorInfo, b: TensorInfo) -> Pair:
    """Two halves, with the factor that the config asks for."""
    rank = _number(name, config, "rank_pattern", module, config.get("r", 8))
    alpha = _number(name, config, "alpha_pattern", module, config.get("lora_alpha", 8))
    if rank != a.shape[0]:
        raise AdapterError(
            f"{name}: {CONFIG} gives {module} the rank {rank}, but its lora_A has {a.shape[0]}."
        )
    return Pair(a, b, alpha / (rank**0.5 if config.get("use_rslora") else rank))


def _number(name: str, config: Mapping[str, Any], patterns: str, module: str, usual: Any) -> float:
    """A module's: that of the first pattern that its name ends with, as PEFT takes them."""
    found = usual
    for pattern, value in (config.get(patterns) or {}).items():
        try:
            if re.match(rf"(.*\.)?({pattern})$", module):
                found = value
                break
        except re.error:
            raise AdapterError(
                f"{name}: {pattern!r} in {patterns} is no regular expression."
            ) from None
    if isinstance(found, bool) or not isinstance(found, int | float) or found <= 0:
        raise AdapterError(f"{name}: {found!r} for {module} in {CONFIG} is no number above 0.")
    return found
