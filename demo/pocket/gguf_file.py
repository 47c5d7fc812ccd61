"""The pocket model as a GGUF file: Q8_0 out of PyTorch, and back for evaluation."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from demo.pocket.metadata import Config, metadata
from demo.pocket.model import Pocket
from webllm_py.checkpoint import GGUFWriter, open_checkpoint

__all__ = ["load", "quantize", "save"]

_BLOCK = 32


def quantize(weights: NDArray[np.float32]) -> bytes:
    """Q8_0: of each 32 elements a float16 scale, then 32 signed bytes."""
    blocks = weights.reshape(-1, _BLOCK)
    scale = (np.abs(blocks).max(1, keepdims=True) / 127).astype(np.float16)
    wide = scale.astype(np.float32)
    steps = np.divide(blocks, wide, out=np.zeros_like(blocks), where=wide > 0)
    out = np.empty(len(blocks), dtype=[("scale", "<f2"), ("steps", "i1", _BLOCK)])
    out["scale"] = scale[:, 0]
    out["steps"] = np.clip(np.rint(steps), -127, 127)
    return out.tobytes()


def _dequantize(data: bytes) -> NDArray[np.float32]:
    blocks = np.frombuffer(data, dtype=[("scale", "<f2"), ("steps", "i1", _BLOCK)])
    return blocks["scale"].astype(np.float32)[:, None] * blocks["steps"].astype(np.float32)


def save(path: Path, state: Mapping[str, Tensor], config: Config) -> None:
    """Write weights, tokenizer and template; ``state`` is ``Pocket.state_dict()``."""
    writer = GGUFWriter()
    for key, value, kind in metadata(config):
        writer.add(key, value, kind)
    for name, tensor in state.items():
        weights = tensor.detach().float().cpu().numpy()
        if weights.ndim == 1:
            writer.add_tensor(name, weights.shape, "F32", [weights.tobytes()])
        else:
            writer.add_tensor(name, weights.shape, "Q8_0", [quantize(weights)])
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        writer.write(file)
    part.replace(path)


def load(path: Path, device: torch.device | str = "cpu") -> Pocket:
    """The model with the weights of the file, dequantised to float32."""
    return asyncio.run(_load(path, device))


async def _load(path: Path, device: torch.device | str) -> Pocket:
    checkpoint = await open_checkpoint(str(path))
    keys = checkpoint.metadata
    config = Config(
        vocab=keys["llama.vocab_size"],
        dim=keys["llama.embedding_length"],
        layers=keys["llama.block_count"],
        heads=keys["llama.attention.head_count"],
        kv_heads=keys["llama.attention.head_count_kv"],
        head_dim=keys["llama.attention.key_length"],
        ffn=keys["llama.feed_forward_length"],
        context=keys["llama.context_length"],
    )
    state = {}
    for name, tensor in checkpoint.tensors.items():
        data = await tensor.source.read(tensor.offset, tensor.nbytes)
        quantised = tensor.format.name == "Q8_0"
        flat = _dequantize(data) if quantised else np.frombuffer(data, dtype="<f4")
        state[name] = torch.tensor(flat.reshape(tensor.shape))
    await checkpoint.close()
    model = Pocket(config)
    model.load_state_dict(state)
    return model.to(device).eval()
