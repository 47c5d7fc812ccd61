"""Makes the model that transformers.js reads from a GGUF file in Q4_0: the same weights, exactly.

A block of Q4_0 is a float16 scale and 32 codes of 4 bits, minus 8: what MatMulNBits of onnxruntime
multiplies with, but for the order of the codes. So no weight changes; scales are kept as float32
where the adapter has no f16.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webllm_py.checkpoint.checkpoint import Checkpoint
from webllm_py.checkpoint.open import open_checkpoint
from webllm_py.errors import RequestError

from .onnx_decoder import Sizes, decoder_graph
from .onnx_format import DataType, Graph
from .onnx_weights import DataFiles, GGUFWeights

__all__ = ["check", "export"]

ARCHITECTURES: Mapping[str, str] = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
CONFIG = "config.json"
KINDS: Mapping[str, DataType] = {"q4f16": DataType.FLOAT16, "q4": DataType.FLOAT}


def export(source: Path, folder: Path, kind: str) -> None:
    """Write a folder for transformers.js, unless it was made of this file already.

    Args:
        source: a GGUF file that ``check`` lets pass.
        kind: transformers.js's dtype: "q4f16", or "q4" without any float16.

    Raises:
        RequestError: a folder that cannot be written.
    """
    made_from = [str(source.resolve()), source.stat().st_size, source.stat().st_mtime_ns]
    if (folder / CONFIG).is_file() and (
        json.loads((folder / CONFIG).read_text())["made_from"] == made_from
    ):
        return
    checkpoint = asyncio.run(opened(source))
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "onnx").mkdir(parents=True)
        files = write_model(checkpoint, partial / "onnx" / f"model_{kind}.onnx", KINDS[kind])
        config = config_of(checkpoint, files, kind) | {"made_from": made_from}
        (partial / CONFIG).write_text(json.dumps(config, indent=2))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        raise RequestError(f"the model for transformers.js cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


async def opened(source: Path) -> Checkpoint:
    """The file's header."""
    checkpoint = await open_checkpoint(source)
    await checkpoint.close()
    return checkpoint


def check(source: Path) -> None:
    """Whether the file's model can be had in ONNX with the same weights: the architecture is
    "llama" or "qwen2", without rope scaling, and all matrices are in Q4_0.

    Raises:
        RequestError: it cannot.
    """
    checkpoint = asyncio.run(opened(source))
    formats = {info.format.name for info in checkpoint.tensors.values() if len(info.shape) > 1}
    scaled = "rope_freqs.weight" in checkpoint.tensors or any(
        ".rope.scaling." in key for key in checkpoint.metadata
    )
    if checkpoint.architecture not in ARCHITECTURES or formats != {"Q4_0"} or scaled:
        raise RequestError(
            "transformers.js is given models of Llama's and Qwen2's architecture in Q4_0 "
            "(without rope scaling): take --shape NAME --format q4_0"
        )


def write_model(checkpoint: Checkpoint, path: Path, kind: DataType) -> int:
    """Write the graph and, in files beside it, its weights; the number of these files."""
    graph = Graph(checkpoint.name)
    with DataFiles(path) as files:
        weights = GGUFWeights(checkpoint, graph, files, kind)
        decoder_graph(graph, sizes_of(checkpoint), weights, kind)
    path.write_bytes(graph.model())
    return files.count


def sizes_of(checkpoint: Checkpoint) -> Sizes:
    """The hyper-parameters."""
    heads = number(checkpoint, "attention.head_count")
    hidden = number(checkpoint, "embedding_length")
    return Sizes(
        layers=number(checkpoint, "block_count"),
        hidden=hidden,
        ffn=number(checkpoint, "feed_forward_length"),
        heads=heads,
        kv_heads=number(checkpoint, "attention.head_count_kv", heads),
        head_dim=number(checkpoint, "attention.key_length", hidden // heads),
        vocab=checkpoint.tensors["token_embd.weight"].shape[0],
        epsilon=number(checkpoint, "attention.layer_norm_rms_epsilon"),
    )


def number(checkpoint: Checkpoint, key: str, default: Any = None) -> Any:
    """One of the architecture's own keys."""
    return checkpoint.metadata.get(f"{checkpoint.architecture}.{key}", default)


def config_of(checkpoint: Checkpoint, files: int, kind: str) -> dict[str, Any]:
    """config.json."""
    sizes = sizes_of(checkpoint)
    return {
        "architectures": [ARCHITECTURES[checkpoint.architecture]],
        "model_type": checkpoint.architecture,
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.ffn,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "head_dim": sizes.head_dim,
        "vocab_size": sizes.vocab,
        "max_position_embeddings": number(checkpoint, "context_length"),
        "transformers.js_config": {
            "dtype": kind,
            "kv_cache_dtype": {"q4f16": "float16"},
            "use_external_data_format": {f"model_{kind}.onnx": files},
        },
    }
