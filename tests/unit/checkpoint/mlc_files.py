"""A small MLC folder, whose index and shards tests may change."""

from __future__ import annotations

import json
from hashlib import md5
from typing import Any

import numpy as np
from checkpoint_files import MemoryFolder

from webllm_py.checkpoint import Checkpoint, open_checkpoint

__all__ = [
    "CODES",
    "CONFIG",
    "NAME",
    "NORM",
    "SCALES",
    "Files",
    "folder_of",
    "opened",
    "record",
    "shard",
    "small",
]

Files = dict[str, bytes]
CONFIG: dict[str, Any] = {
    "version": "0.1.0",
    "model_type": "llama",
    "quantization": "q4f16_1",
    "model_config": {
        "hidden_size": 64,
        "position_embedding_base": 5e5,
        "rms_norm_eps": 1e-5,
        "context_window_size": 512,
    },
    "context_window_size": 256,
    "sliding_window_size": -1,
    "temperature": 0.6,
    "top_p": 0.9,
    "repetition_penalty": 1.0,
    "bos_token_id": 1,
    "eos_token_id": [2, 3],
    "tokenizer_files": ["tokenizer.json", "tokenizer_config.json", "vocab.json"],
    "conv_template": {"name": "x", "stop_token_ids": [3, 9]},
}
CODES = np.arange(3 * 8, dtype=np.uint32)
SCALES = np.arange(3 * 2, dtype=np.float16)
NORM = np.arange(64, dtype=np.float16)
NAME = "model.embed_tokens"


def record(name: str, shape: list[int], dtype: str, nbytes: int, offset: int) -> dict[str, Any]:
    return {
        "name": name,
        "shape": shape,
        "dtype": dtype,
        "format": "f32-to-bf16",
        "nbytes": nbytes,
        "byteOffset": offset,
    }


def shard(number: int, data: bytes, *records: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataPath": f"params_shard_{number}.bin",
        "format": "raw-shard",
        "nbytes": len(data),
        "md5sum": md5(data).hexdigest(),
        "records": list(records),
    }


def small() -> tuple[dict[str, Any], dict[str, Any], Files]:
    """A config, an index and shards: a matrix of 3 x 64 in both, a norm."""
    first, second = CODES.tobytes(), NORM.tobytes() + SCALES.tobytes()
    index = {
        "metadata": {"ParamSize": 3},
        "records": [
            shard(0, first, record(f"{NAME}.q_weight", [3, 8], "uint32", 96, 0)),
            shard(
                1,
                second,
                record("model.norm.weight", [64], "float16", 128, 0),
                record(f"{NAME}.q_scale", [3, 2], "float16", 12, 128),
            ),
        ],
    }
    shards = {"params_shard_0.bin": first, "params_shard_1.bin": second}
    return json.loads(json.dumps(CONFIG)), index, shards


def folder_of(config: Any, index: Any, shards: Files, **options: Any) -> MemoryFolder:
    files = {
        "mlc-chat-config.json": json.dumps(config).encode(),
        "tensor-cache.json": json.dumps(index).encode(),
        "tokenizer.json": b"{}",
        "unrelated.json": b"{}",
        **shards,
    }
    return MemoryFolder(files, **options)


async def opened(config: Any, index: Any, shards: Files) -> Checkpoint:
    return await open_checkpoint(folder_of(config, index, shards))
